-- What gives the files of a tree of Maildirs UIDs and mod-sequences. Derived from the tree: lost, it is made again.

-- The last three columns say how the directories looked when they were last read, since when they look so, and whether
-- every change since then would show.
CREATE TABLE mailbox (
    key              INTEGER PRIMARY KEY AUTOINCREMENT,
    name             TEXT    NOT NULL UNIQUE CHECK (name <> ''),
    identity         TEXT    NOT NULL UNIQUE CHECK (length(identity) BETWEEN 1 AND 255),
    uid_validity     INTEGER NOT NULL CHECK (uid_validity BETWEEN 1 AND 4294967295),
    uid_next         INTEGER NOT NULL DEFAULT 1 CHECK (uid_next BETWEEN 1 AND 4294967295),
    highest_modseq   INTEGER NOT NULL DEFAULT 1 CHECK (highest_modseq BETWEEN 1 AND 9223372036854775807),
    forgotten_modseq INTEGER NOT NULL DEFAULT 0 CHECK (forgotten_modseq BETWEEN 0 AND highest_modseq),
    messages         INTEGER NOT NULL DEFAULT 0 CHECK (messages >= 0),
    keyword_letters  BLOB    NOT NULL DEFAULT x'',
    stamps           BLOB    CHECK (length(stamps) = 72),
    seen             INTEGER NOT NULL DEFAULT 0,
    trust            TEXT    NOT NULL DEFAULT 'fresh' CHECK (trust IN ('fresh', 'settled'))
) STRICT;

-- A file. Its name is `unique_name`, up to a NUL if there is one, and `info`. What stands behind the NUL tells files apart
-- that share a unique name. `size`, `mark`, `form` and `header` say who the message is, once it was read; `mark` is how many
-- of its octets another synchronizer has added to it.
CREATE TABLE message (
    mailbox       INTEGER NOT NULL REFERENCES mailbox (key) ON DELETE CASCADE,
    unique_name   BLOB    NOT NULL CHECK (length(unique_name) > 0),
    uid           INTEGER NOT NULL CHECK (uid BETWEEN 1 AND 4294967295),
    folder        TEXT    NOT NULL CHECK (folder IN ('new', 'cur')),
    info          BLOB    NOT NULL,
    keywords      TEXT    NOT NULL,
    inode         INTEGER NOT NULL,
    file_size     INTEGER NOT NULL CHECK (file_size >= 0),
    mtime         INTEGER NOT NULL,
    internal_date INTEGER NOT NULL CHECK (internal_date BETWEEN -62167219200 AND 253402300799),
    size          INTEGER CHECK (size >= 0),
    mark          INTEGER CHECK (mark BETWEEN 0 AND size),
    form          TEXT    CHECK (form IN ('text', 'binary')),
    header        BLOB    CHECK (length(header) = 16),
    modseq        INTEGER NOT NULL CHECK (modseq BETWEEN 1 AND 9223372036854775807),
    PRIMARY KEY (mailbox, unique_name),
    UNIQUE (mailbox, uid),
    CHECK ((size IS NULL) = (header IS NULL) AND (size IS NULL) = (form IS NULL) AND (size IS NULL) = (mark IS NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX message_modseq ON message (mailbox, modseq);

-- Files that go to another mailbox keep the keywords that are known here alone.
CREATE INDEX message_keywords ON message (inode) WHERE keywords <> '';

-- Few files share a unique name; where some do, the others are looked for.
CREATE INDEX message_shared_name ON message (mailbox) WHERE instr(unique_name, x'00') > 0;

-- A message that is gone, for those who knew it (RFC 7162 §3.2.10).
CREATE TABLE expunged (
    mailbox INTEGER NOT NULL REFERENCES mailbox (key) ON DELETE CASCADE,
    uid     INTEGER NOT NULL CHECK (uid BETWEEN 1 AND 4294967295),
    modseq  INTEGER NOT NULL CHECK (modseq BETWEEN 1 AND 9223372036854775807),
    PRIMARY KEY (mailbox, modseq, uid)
) STRICT, WITHOUT ROWID;

-- What this copy of the index is called, and will be once the next run changes it. The state remembers both: an older copy
-- that was put back shows by that. One row at most.
CREATE TABLE copy (
    id   INTEGER PRIMARY KEY CHECK (id = 1),
    mark TEXT    NOT NULL CHECK (length(mark) = 32),
    next TEXT    NOT NULL CHECK (length(next) = 32)
) STRICT;

-- The inode of the directory that everything lies below: where a disk is not mounted, it is that of another one.
CREATE TABLE root (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    inode INTEGER NOT NULL
) STRICT;

-- What was said about a mailbox of that name, which may be gone or yet to come. Of others nothing is known.
CREATE TABLE subscription (
    name         TEXT NOT NULL PRIMARY KEY CHECK (name <> ''),
    subscription TEXT NOT NULL CHECK (subscription IN ('subscribed', 'unsubscribed'))
) STRICT, WITHOUT ROWID;

CREATE TRIGGER message_added AFTER INSERT ON message BEGIN
    UPDATE mailbox SET messages = messages + 1 WHERE key = new.mailbox;
END;

CREATE TRIGGER message_removed AFTER DELETE ON message BEGIN
    UPDATE mailbox SET messages = messages - 1 WHERE key = old.mailbox;
END;

CREATE TRIGGER message_stays BEFORE UPDATE OF mailbox, uid ON message BEGIN
    SELECT RAISE(ABORT, 'a message keeps its UID');
END;
