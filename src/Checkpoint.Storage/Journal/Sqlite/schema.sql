-- The tables journal, tags and snapshot have the shape of Akka.Persistence.Sql's mapping "default", so that either host
-- recovers what the other wrote. The tables below them are our own.

CREATE TABLE IF NOT EXISTS journal (
    ordering        INTEGER       NOT NULL PRIMARY KEY AUTOINCREMENT,
    created         BigInt        NOT NULL,
    deleted         Bit           NOT NULL,
    persistence_id  NVarChar(255) NOT NULL,
    sequence_number BigInt        NOT NULL,
    message         VarBinary     NOT NULL,
    manifest        NVarChar(500) NULL,
    identifier      INTEGER       NULL,
    writer_uuid     NVarChar(128) NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS journal_uq ON journal (persistence_id, sequence_number);
CREATE INDEX IF NOT EXISTS journal_created_idx ON journal (created);
CREATE INDEX IF NOT EXISTS journal_sequence_number_idx ON journal (sequence_number);

CREATE TABLE IF NOT EXISTS tags (
    ordering_id    INTEGER       NOT NULL,
    tag            NVarChar(64)  NOT NULL,
    sequence_nr    INTEGER       NOT NULL,
    persistence_id NVarChar(255) NOT NULL,
    PRIMARY KEY (ordering_id, tag)
);
CREATE INDEX IF NOT EXISTS tags_persistence_id_sequence_nr_idx ON tags (persistence_id, sequence_nr);
CREATE INDEX IF NOT EXISTS tags_tag_idx ON tags (tag);

CREATE TABLE IF NOT EXISTS snapshot (
    persistence_id  NVarChar(255) NOT NULL,
    sequence_number BigInt        NOT NULL,
    created         BigInt        NOT NULL,
    snapshot        VarBinary     NULL,
    manifest        NVarChar(500) NULL,
    serializer_id   INTEGER       NULL,
    PRIMARY KEY (persistence_id, sequence_number)
);
CREATE INDEX IF NOT EXISTS snapshot_sequence_number_idx ON snapshot (sequence_number);
CREATE INDEX IF NOT EXISTS snapshot_created_idx ON snapshot (created);

CREATE TABLE IF NOT EXISTS state_document (
    persistence_id NVarChar(255) NOT NULL,
    number         BigInt        NOT NULL,
    created        BigInt        NOT NULL,
    document       VarBinary     NOT NULL,
    PRIMARY KEY (persistence_id, number)
);

-- The state document that was stored last in a transaction of its own, before the event that names it: one row a stream. Where
-- the event with this sequence number has not come, the document is left over and no event is missing.
CREATE TABLE IF NOT EXISTS state_document_ahead (
    persistence_id  NVarChar(255) NOT NULL PRIMARY KEY,
    number          BigInt        NOT NULL,
    sequence_number BigInt        NOT NULL
);

-- The version of this schema, in one row. It stands in a table and not in user_version, which belongs to the file's owner:
-- an application may keep tables of its own in the same file.
CREATE TABLE IF NOT EXISTS checkpoint_schema (version INTEGER NOT NULL PRIMARY KEY);
INSERT OR IGNORE INTO checkpoint_schema (version) VALUES (1);

-- The store's random id, in one row. The folder of its segments has the same id in a file, so that no other store sweeps it.
CREATE TABLE IF NOT EXISTS checkpoint_store (only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1), id NVarChar(32) NOT NULL);
INSERT OR IGNORE INTO checkpoint_store (only, id) VALUES (1, lower(hex(randomblob(16))));
