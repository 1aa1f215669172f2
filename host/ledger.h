#ifndef DMLUA_LEDGER_H
#define DMLUA_LEDGER_H

#include <stdbool.h>

#include "host/db/db.h"

/* SQL: a tenant's id as dmlua_progress has it in its key, where an entry has 2,704 bytes of room. What is longer than a
   hash is one, which no shorter id can be; each step is IMMUTABLE, unlike convert_to. A backslash is doubled because
   the format `escape` reads it. */
#define LEDGER_TENANT_KEY(id) \
    "CASE WHEN pg_catalog.octet_length(" id ") <= 64 THEN " id " ELSE 'sha256:' || pg_catalog.encode(" \
    "pg_catalog.sha256(pg_catalog.decode(pg_catalog.replace(" id ", pg_catalog.chr(92)," \
    " pg_catalog.repeat(pg_catalog.chr(92), 2)), 'escape')), 'hex') END"

struct config;

/* The version table, Alembic's own, and dmlua's tables beside it: their names, their statements, what stands in
   them. */
struct ledger {
    struct db *db;
    char *schema;      /* where the version table is or will be */
    char *table;       /* its bare name */
    bool has_version;  /* the version table exists */
    bool has_tables;   /* dmlua's tables exist */
    char *user;        /* current_user, */
    char *session;     /* session_user */
    char *role;        /* and the setting `role` at the start */
    const char *revision; /* of the step that runs: where the host's own statements belong; borrowed */
    char *sql[DB_SLOTS];
};

/* The host's own statements, by the slot under which they are prepared. */
enum ledger_statement {
    LEDGER_BEGIN = 1,
    LEDGER_BEGIN_READ_ONLY,
    LEDGER_BEGIN_SNAPSHOT,
    LEDGER_COMMIT,
    LEDGER_ROLLBACK,
    LEDGER_LOCK,
    LEDGER_SETTINGS,       /* tenant setting */
    LEDGER_CHECK_ROWS,     /* rows joined by ", "; what; direction; finished parts */
    LEDGER_CHECK_STATE,    /* current_user, session_user, role, tenant setting */
    LEDGER_VERSION_INSERT, /* id */
    LEDGER_VERSION_UPDATE, /* new id, old id */
    LEDGER_VERSION_DELETE, /* id */
    LEDGER_RECORD,         /* enum ledger_field */
    LEDGER_TALLY,          /* run, kind, service, environment, client; arrays of what, part, tenant, rows, place */
    LEDGER_PROGRESS_PUT,   /* what, direction, part, state, hash, statements, answers, run */
    LEDGER_PROGRESS_MOVE,  /* what, direction, part, cursor */
    LEDGER_PROGRESS_DROP,  /* what, direction */
    LEDGER_TENANT_ENTER,   /* tenant setting, id, role */
    LEDGER_TENANT_LEAVE,   /* tenant setting, id, user expected, role to go back to */
    LEDGER_SETTING_KEEP,   /* where to keep it, its name */
    LEDGER_SETTING_BACK,   /* its name, where it is kept */
    LEDGER_LOOP_FIRST,     /* what, direction, part, run, tenant, tenant setting, role */
    LEDGER_LOOP_ENTER,     /* what, direction, part, run, tenant, state, cursor, tenant setting, role */
    LEDGER_LOOP_LEAVE,     /* tenant setting, id, user expected */
    LEDGER_LOOP_CURSOR,    /* what, direction, part, run, tenant, state, cursor */
    LEDGER_LOOP_TENANT,    /* what, direction, part, run, tenant, state */
    LEDGER_DEBT_TAKE,      /* what, direction, part, run */
    LEDGER_DEBT_DROP,      /* what, direction, part, tenant */
    LEDGER_FIX_BEGIN,      /* answers with rows written so far, of the catalogue and of tables */
    LEDGER_FIX_CHECK,      /* oids of the tables it may write, or null, schema, version table; enum fix_written */
    LEDGER_HELD,
    LEDGER_CURSORS,
    LEDGER_FIX_TENANT,     /* hash of the script, run, tenant, name, may it be done already */
    LEDGER_CONSTRAINTS,
    LEDGER_INDEX_VALID,    /* quoted name */
    LEDGER_WATCH,          /* host/watch_sql.h */
    LEDGER_WATCH_MILDLY,   /* the same; answers with the sentence, or NULL */
    LEDGER_RESET,
    LEDGER_RESET_USER,
    LEDGER_RESET_ROLE,
    LEDGER_GUARD,
    LEDGER_GUARD_13,
    LEDGER_COUNT
};
_Static_assert((int)LEDGER_COUNT <= (int)DB_SLOTS, "every statement has a slot");

/* A ledger row's values, in the order of LEDGER_RECORD's parameters. */
enum ledger_field {
    FIELD_RUN,
    FIELD_KIND,
    FIELD_WHAT,
    FIELD_PART,
    FIELD_SERVICE,
    FIELD_ENVIRONMENT,
    FIELD_TENANT,
    FIELD_CLIENT,
    FIELD_ROWS,
    FIELD_SHA256,
    FIELD_OUTCOME,
    FIELD_REASON,
    FIELD_NOTE,
    FIELD_DURATION, /* seconds; null: since the transaction began */
    FIELD_COUNT
};

/* Looks for the tables on the connection. One round trip. Owned parts: ledger_close. */
int ledger_open(struct ledger *ledger, struct db *db, const struct config *config, struct error *error);
/* Looks again: another runner may have made them since. */
int ledger_look(struct ledger *ledger, struct error *error);
void ledger_close(struct ledger *ledger);
/* Makes what is missing, in a transaction of its own. */
int ledger_create(struct ledger *ledger, const struct config *config, struct error *error);
/* Makes the version table alone, in a transaction of its own. */
int ledger_create_version(struct ledger *ledger, struct error *error);
/* One change of the tables, in a transaction of its own; `{s}` and `{v}` as in a ledger_read. */
int ledger_change(struct ledger *ledger, const char *text, struct error *error);
/* Sends one of the host's own statements; values may be null when it has none. */
void ledger_send(struct ledger *ledger, enum ledger_statement statement, int count, const char *const *values,
                 const struct origin *origin);
/* The same, and the result will be put into *into, owned by the caller, when it is taken; null until then. */
void ledger_send_wanted(struct ledger *ledger, enum ledger_statement statement, int count, const char *const *values,
                        const struct origin *origin, PGresult **into);
/* Prepares one of them on the connection, unless it is; says whether something was sent. */
bool ledger_prepare(struct ledger *ledger, enum ledger_statement statement);
/* A statement of the host's that is not worth preparing; `{s}` and `{v}` as in a ledger_read, `into` as above or
   null. */
void ledger_send_text(struct ledger *ledger, const char *text, int count, const char *const *values, PGresult **into);
/* The same; its rows are not counted, and it may raise: see struct db_host. `host` outlives the statement and is
   plain. */
void ledger_send_host(struct ledger *ledger, const struct db_host *host, const char *text, int count,
                      const char *const *values, PGresult **into);
/* Sends the session's own settings: no idle time-out, row security off. */
void ledger_guard(struct ledger *ledger);
/* A query of the ledger's tables: `{s}` and `{v}` in the text become the schema and the version table. */
struct ledger_read {
    const char *text;
    int count;
    const char *const *values;
    PGresult *result; /* owned by the caller; null on failure */
};

/* Reads, in a READ ONLY transaction and one round trip. */
int ledger_queries(struct ledger *ledger, struct ledger_read *reads, size_t count, struct error *error);
/* One such query. Owned: PQclear. Null on failure. */
PGresult *ledger_query(struct ledger *ledger, const char *text, int count, const char *const *values,
                       struct error *error);

#endif
