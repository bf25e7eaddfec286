-- What is remembered of one account. Every constraint here is something the code takes for granted.

-- Whose state this is: how the address of each side was written when the file was made.
CREATE TABLE account (
    side    TEXT NOT NULL PRIMARY KEY CHECK (side IN ('local', 'remote')),
    address TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The last four columns are counters, kept by the triggers below.
CREATE TABLE mailbox (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    name           TEXT    NOT NULL UNIQUE CHECK (name <> ''),
    subscription   TEXT    CHECK (subscription IN ('subscribed', 'unsubscribed')),
    last_success   INTEGER,
    pairs          INTEGER NOT NULL DEFAULT 0 CHECK (pairs >= 0),
    intents        INTEGER NOT NULL DEFAULT 0 CHECK (intents >= 0),
    skipped_local  INTEGER NOT NULL DEFAULT 0 CHECK (skipped_local >= 0),
    skipped_remote INTEGER NOT NULL DEFAULT 0 CHECK (skipped_remote >= 0)
) STRICT;

-- Where a side's next run may start from. Mod-sequences have 63 bits (RFC 7162 §3.1).
CREATE TABLE checkpoint (
    mailbox        INTEGER NOT NULL REFERENCES mailbox (id) ON DELETE CASCADE,
    side           TEXT    NOT NULL CHECK (side IN ('local', 'remote')),
    uid_validity   INTEGER NOT NULL CHECK (uid_validity BETWEEN 1 AND 4294967295),
    uid_next       INTEGER NOT NULL CHECK (uid_next BETWEEN 1 AND 4294967295),
    highest_modseq INTEGER CHECK (highest_modseq BETWEEN 1 AND 9223372036854775807),
    PRIMARY KEY (mailbox, side)
) STRICT, WITHOUT ROWID;

-- A side's identity for a mailbox that survives renaming (RFC 8474 §4).
CREATE TABLE mailbox_id (
    mailbox INTEGER NOT NULL REFERENCES mailbox (id) ON DELETE CASCADE,
    side    TEXT    NOT NULL CHECK (side IN ('local', 'remote')),
    id      TEXT    NOT NULL CHECK (length(id) BETWEEN 1 AND 255),
    PRIMARY KEY (mailbox, side)
) STRICT, WITHOUT ROWID;

-- A message that both sides hold, the flags last agreed on, and its fingerprint.
CREATE TABLE pair (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    mailbox       INTEGER NOT NULL REFERENCES mailbox (id) ON DELETE CASCADE,
    local_uid     INTEGER NOT NULL CHECK (local_uid BETWEEN 1 AND 4294967295),
    remote_uid    INTEGER NOT NULL CHECK (remote_uid BETWEEN 1 AND 4294967295),
    flags         TEXT    NOT NULL,
    size          INTEGER NOT NULL CHECK (size >= 0),
    internal_date INTEGER NOT NULL CHECK (internal_date BETWEEN -62167219200 AND 253402300799),
    header        BLOB    NOT NULL CHECK (length(header) = 16),
    UNIQUE (mailbox, local_uid),
    UNIQUE (mailbox, remote_uid)
) STRICT;

-- An APPEND that is about to happen and may have happened.
CREATE TABLE intent (
    id                  INTEGER PRIMARY KEY AUTOINCREMENT,
    mailbox             INTEGER NOT NULL REFERENCES mailbox (id) ON DELETE CASCADE,
    source              TEXT    NOT NULL CHECK (source IN ('local', 'remote')),
    source_uid          INTEGER NOT NULL CHECK (source_uid BETWEEN 1 AND 4294967295),
    flags               TEXT    NOT NULL,
    size                INTEGER NOT NULL CHECK (size >= 0),
    internal_date       INTEGER NOT NULL CHECK (internal_date BETWEEN -62167219200 AND 253402300799),
    header              BLOB    NOT NULL CHECK (length(header) = 16),
    target_uid_validity INTEGER NOT NULL CHECK (target_uid_validity BETWEEN 1 AND 4294967295),
    floor               INTEGER NOT NULL CHECK (floor BETWEEN 1 AND 4294967295),
    UNIQUE (mailbox, source, source_uid)
) STRICT;

-- A message that one side holds and that was left out; `words` are those of the side that refused it.
CREATE TABLE skipped (
    mailbox      INTEGER NOT NULL REFERENCES mailbox (id) ON DELETE CASCADE,
    side         TEXT    NOT NULL CHECK (side IN ('local', 'remote')),
    uid          INTEGER NOT NULL CHECK (uid BETWEEN 1 AND 4294967295),
    why          TEXT    NOT NULL CHECK (why IN ('policy', 'kept', 'refused')),
    words        TEXT    CHECK ((why = 'refused') = (words IS NOT NULL)),
    attempts     INTEGER NOT NULL CHECK (attempts BETWEEN 0 AND 4294967295),
    last_attempt INTEGER NOT NULL,
    PRIMARY KEY (mailbox, side, uid)
) STRICT, WITHOUT ROWID;

-- The last run that came to an end; one row at most.
CREATE TABLE run (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    started  INTEGER NOT NULL,
    finished INTEGER NOT NULL,
    result   TEXT    NOT NULL
) STRICT;

CREATE TRIGGER pair_added AFTER INSERT ON pair BEGIN
    UPDATE mailbox SET pairs = pairs + 1 WHERE id = new.mailbox;
END;

CREATE TRIGGER pair_removed AFTER DELETE ON pair BEGIN
    UPDATE mailbox SET pairs = pairs - 1 WHERE id = old.mailbox;
END;

CREATE TRIGGER intent_added AFTER INSERT ON intent BEGIN
    UPDATE mailbox SET intents = intents + 1 WHERE id = new.mailbox;
END;

CREATE TRIGGER intent_removed AFTER DELETE ON intent BEGIN
    UPDATE mailbox SET intents = intents - 1 WHERE id = old.mailbox;
END;

CREATE TRIGGER skipped_added AFTER INSERT ON skipped BEGIN
    UPDATE mailbox
       SET skipped_local  = skipped_local  + (new.side = 'local'),
           skipped_remote = skipped_remote + (new.side = 'remote')
     WHERE id = new.mailbox;
END;

CREATE TRIGGER skipped_removed AFTER DELETE ON skipped BEGIN
    UPDATE mailbox
       SET skipped_local  = skipped_local  - (old.side = 'local'),
           skipped_remote = skipped_remote - (old.side = 'remote')
     WHERE id = old.mailbox;
END;

-- A row stays in its mailbox and on its side; the counters rely on it.
CREATE TRIGGER pair_stays BEFORE UPDATE OF mailbox ON pair BEGIN
    SELECT RAISE(ABORT, 'a pair stays in its mailbox');
END;

CREATE TRIGGER intent_stays BEFORE UPDATE OF mailbox ON intent BEGIN
    SELECT RAISE(ABORT, 'an intent stays in its mailbox');
END;

CREATE TRIGGER skipped_stays BEFORE UPDATE OF mailbox, side ON skipped BEGIN
    SELECT RAISE(ABORT, 'a skipped message stays where it is');
END;
