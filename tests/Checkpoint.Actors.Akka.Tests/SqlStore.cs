using Akka.Configuration;
using Checkpoint.Storage;

namespace Checkpoint.Actors.Akka.Tests;

/// <summary>The configuration of an actor system whose journal is Akka.Persistence.Sql on the store's own SQLite file.</summary>
internal static class SqlStore
{
    public static Config Config(StoreOptions options)
    {
        var path = options.Uri!["sqlite:".Length..];
        return ConfigurationFactory.ParseString($$"""
            akka.loglevel = WARNING
            akka.persistence {
              journal {
                plugin = "akka.persistence.journal.sql"
                sql {
                  class = "Akka.Persistence.Sql.Journal.SqlWriteJournal, Akka.Persistence.Sql"
                  connection-string = "Data Source={{path}}"
                  provider-name = "SQLite.MS"
                  auto-initialize = off
                }
              }
              snapshot-store {
                plugin = "akka.persistence.snapshot-store.sql"
                sql {
                  class = "Akka.Persistence.Sql.Snapshot.SqlSnapshotStore, Akka.Persistence.Sql"
                  connection-string = "Data Source={{path}}"
                  provider-name = "SQLite.MS"
                  auto-initialize = off
                }
              }
            }
            checkpoint.store = "{{options.Uri}}"
            checkpoint.segments-folder = "{{options.SegmentsFolder ?? ""}}"
            """);
    }
}
