using Akka.Configuration;

namespace Checkpoint.Samples.Akka;

/// <summary>
/// Akka.Persistence.Sql on the store's own SQLite file, in HOCON; <c>WithSqlPersistence</c> of Akka.Persistence.Sql.Hosting says the same in C#.
/// </summary>
internal static class SqlJournal
{
    public static Config On(string database) => ConfigurationFactory.ParseString($$"""
        akka.persistence.journal {
          plugin = "akka.persistence.journal.sql"
          sql {
            class = "Akka.Persistence.Sql.Journal.SqlWriteJournal, Akka.Persistence.Sql"
            connection-string = "Data Source={{database}}"
            provider-name = "SQLite.MS"
            auto-initialize = off
          }
        }
        akka.persistence.snapshot-store {
          plugin = "akka.persistence.snapshot-store.sql"
          sql {
            class = "Akka.Persistence.Sql.Snapshot.SqlSnapshotStore, Akka.Persistence.Sql"
            connection-string = "Data Source={{database}}"
            provider-name = "SQLite.MS"
            auto-initialize = off
          }
        }
        """);
}
