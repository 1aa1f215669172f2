#include "host/ledger.h"

#include <stdlib.h>
#include <string.h>

#include "host/config.h"
#include "host/ledger_statements.h"
#include "host/txn.h"

/* Alembic's own definition (reference: Alembic's runtime/migration.py), so that both tools can take turns. */
static const char create_version[] = "CREATE TABLE IF NOT EXISTS {v} (version_num VARCHAR(32) NOT NULL, "
                                     "CONSTRAINT {p} PRIMARY KEY (version_num))";

/* doc/decisions.md says why the tables have this shape. */
static const char *const create_tables[] = {
    "CREATE TABLE IF NOT EXISTS {s}.dmlua_ledger ("
    " id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, version_table text NOT NULL, run_id uuid NOT NULL,"
    " kind text NOT NULL, what text,"
    " part integer, service text, environment text NOT NULL, tenant text, who text NOT NULL, client text,"
    " started timestamptz NOT NULL, duration interval NOT NULL, rows bigint, sha256 text, outcome text NOT NULL,"
    " reason text, note text)",
    "CREATE INDEX IF NOT EXISTS dmlua_ledger_what ON {s}.dmlua_ledger (version_table, what, id)"
    " WHERE outcome <> 'counted'",
    "CREATE INDEX IF NOT EXISTS dmlua_ledger_counted ON {s}.dmlua_ledger (version_table, what, id)"
    " WHERE outcome = 'counted'",
    "CREATE TABLE IF NOT EXISTS {s}.dmlua_progress ("
    " version_table text NOT NULL, what text NOT NULL, direction text NOT NULL, part integer NOT NULL,"
    " round integer NOT NULL DEFAULT 0,"
    " tenant text NOT NULL DEFAULT '', cursor text, state text NOT NULL, hash text, statements text, answers text,"
    " run_id uuid NOT NULL, changed timestamptz NOT NULL DEFAULT pg_catalog.now(),"
    " tenant_key text NOT NULL GENERATED ALWAYS AS (" LEDGER_TENANT_KEY("tenant") ") STORED,"
    " PRIMARY KEY (version_table, what, direction, part, round, tenant_key))",
    "CREATE TABLE IF NOT EXISTS {s}.dmlua_tenants ("
    " id text PRIMARY KEY, schema text NOT NULL UNIQUE, state text NOT NULL, versions text[] NOT NULL DEFAULT '{}')",
    "CREATE TABLE IF NOT EXISTS {s}.dmlua_tables ("
    " name text PRIMARY KEY, declared text NOT NULL, reason text, since timestamptz NOT NULL DEFAULT pg_catalog.now())",
    "CREATE TABLE IF NOT EXISTS {s}.dmlua_database ("
    " version_table text PRIMARY KEY, service text, environment text NOT NULL,"
    " format integer NOT NULL)",
};
static const char insert_database[] =
    "INSERT INTO {s}.dmlua_database (version_table, service, environment, format) VALUES ({t}, $1, $2, 1)"
    " ON CONFLICT DO NOTHING";

/* The names that stand in our statements, quoted by libpq. */
struct names {
    char *schema, *table, *key, *literal;
};

static void names_make(const struct ledger *ledger, struct names *names)
{
    PGconn *conn = db_connection(ledger->db);
    char *key = NULL;
    error_text(&key, "%s_pkc", ledger->table);
    names->schema = PQescapeIdentifier(conn, ledger->schema, strlen(ledger->schema));
    names->table = PQescapeIdentifier(conn, ledger->table, strlen(ledger->table));
    names->key = PQescapeIdentifier(conn, key, strlen(key));
    names->literal = PQescapeLiteral(conn, ledger->table, strlen(ledger->table));
    free(key);
    if (names->schema == NULL || names->table == NULL || names->key == NULL || names->literal == NULL)
        abort();
}

static void names_free(struct names *names)
{
    PQfreemem(names->schema);
    PQfreemem(names->table);
    PQfreemem(names->key);
    PQfreemem(names->literal);
}

static void put_name(FILE *out, const struct names *names, char which)
{
    switch (which) {
    case 'v':
        fprintf(out, "%s.%s", names->schema, names->table);
        break;
    case 's':
        fputs(names->schema, out);
        break;
    case 't':
        fputs(names->literal, out);
        break;
    default:
        fputs(names->key, out);
        break;
    }
}

/* Expands {v} (the version table), {s} (its schema), {t} (its name as text) and {p} (its key): the one place where
   names of ours are put into SQL. Owned. */
static char *expand(const struct ledger *ledger, const char *text)
{
    struct names names;
    char *out = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&out, &size);
    if (stream == NULL)
        abort();
    names_make(ledger, &names);
    for (; *text != '\0'; text++) {
        if (text[0] == '{' && text[1] != '\0' && text[2] == '}') {
            put_name(stream, &names, text[1]);
            text += 2;
        } else {
            fputc(*text, stream);
        }
    }
    names_free(&names);
    fclose(stream);
    return out;
}

static const char *statement_text(struct ledger *ledger, enum ledger_statement statement)
{
    if (ledger->sql[statement] == NULL)
        ledger->sql[statement] = expand(ledger, ledger_texts[statement].text);
    return ledger->sql[statement];
}

bool ledger_prepare(struct ledger *ledger, enum ledger_statement statement)
{
    struct db_statement out = {.host = &ledger_texts[statement].host, .sql = statement_text(ledger, statement)};
    return db_prepare(ledger->db, &out);
}

void ledger_send_wanted(struct ledger *ledger, enum ledger_statement statement, int count, const char *const *values,
                        const struct origin *origin, PGresult **into)
{
    struct db_statement out = {.host = &ledger_texts[statement].host, .count = count, .values = values};
    out.sql = statement_text(ledger, statement);
    if (origin != NULL)
        out.origin = *origin;
    else
        out.origin.revision = ledger->revision;
    if (into != NULL)
        db_send_wanted(ledger->db, &out, into);
    else
        db_send(ledger->db, &out);
}

void ledger_send(struct ledger *ledger, enum ledger_statement statement, int count, const char *const *values,
                 const struct origin *origin)
{
    ledger_send_wanted(ledger, statement, count, values, origin, NULL);
}

int ledger_queries(struct ledger *ledger, struct ledger_read *reads, size_t count, struct error *error)
{
    size_t i;
    int rc;
    txn_begin_read_only(ledger);
    for (i = 0; i < count; i++) {
        char *sql = expand(ledger, reads[i].text);
        struct db_statement statement = {.sql = sql, .count = reads[i].count, .values = reads[i].values};
        db_send_wanted(ledger->db, &statement, &reads[i].result);
        free(sql);
    }
    rc = txn_commit(ledger, error);
    for (i = 0; rc != 0 && i < count; i++) {
        PQclear(reads[i].result);
        reads[i].result = NULL;
    }
    return rc;
}

PGresult *ledger_query(struct ledger *ledger, const char *text, int count, const char *const *values,
                       struct error *error)
{
    struct ledger_read read = {.text = text, .count = count, .values = values};
    return ledger_queries(ledger, &read, 1, error) == 0 ? read.result : NULL;
}

void ledger_guard(struct ledger *ledger)
{
    bool old = db_server_version(ledger->db) < 140000;
    ledger_send(ledger, old ? LEDGER_GUARD_13 : LEDGER_GUARD, 0, NULL, NULL);
}

/* Functions only, no table of the catalogue: on a fresh connection that is a third of the time, and every verb waits
   for it. pg_identify_object quotes the schema's name. */
static const char find_tables[] =
    "SELECT s.name,"
    " pg_catalog.to_regclass(pg_catalog.quote_ident(s.name) || '.' || pg_catalog.quote_ident($2)) IS NOT NULL,"
    " pg_catalog.to_regclass(pg_catalog.quote_ident(s.name) || '.dmlua_database') IS NOT NULL,"
    " current_user, session_user, pg_catalog.current_setting('role')"
    " FROM (SELECT coalesce(CAST($1 AS text), (pg_catalog.parse_ident((pg_catalog.pg_identify_object("
    "  CAST(CAST('pg_catalog.pg_class' AS regclass) AS oid), pg_catalog.to_regclass(pg_catalog.quote_ident($2)),"
    " 0)).schema"
    "  ))[1], CAST(pg_catalog.current_schema() AS text)) AS name OFFSET 0) s";

int ledger_look(struct ledger *ledger, struct error *error)
{
    const char *values[2] = {ledger->schema, ledger->table};
    struct db_statement find = {.sql = find_tables, .count = 2, .values = values};
    PGresult *result = db_query_alone(ledger->db, &find, error);
    if (result == NULL)
        return -1;
    if (PQntuples(result) != 1 || PQgetisnull(result, 0, 0)) {
        error_set(error, ERROR_USAGE, "no schema to work in: search_path of this role names none that exists");
        error_text(&error->hint, "set version_table_schema, or ALTER ROLE … SET search_path");
        PQclear(result);
        return -1;
    }
    error_text(&ledger->schema, "%s", PQgetvalue(result, 0, 0));
    ledger->has_version = *PQgetvalue(result, 0, 1) == 't';
    ledger->has_tables = *PQgetvalue(result, 0, 2) == 't';
    error_text(&ledger->user, "%s", PQgetvalue(result, 0, 3));
    error_text(&ledger->session, "%s", PQgetvalue(result, 0, 4));
    error_text(&ledger->role, "%s", PQgetvalue(result, 0, 5));
    PQclear(result);
    return 0;
}

/* PostgreSQL would cut the name of the table or of its key, <table>_pkc, and find another one under it. */
static int check_name(const char *table, struct error *error)
{
    enum { LONGEST = 63 - sizeof "_pkc" + 1 };
    if (strlen(table) <= LONGEST)
        return 0;
    error_set(error, ERROR_USAGE, "version_table is %zu bytes long; PostgreSQL has room for %d and its key's name",
              strlen(table), (int)LONGEST);
    return -1;
}

int ledger_open(struct ledger *ledger, struct db *db, const struct config *config, struct error *error)
{
    const char *schema = config_get(config, "version_table_schema");
    memset(ledger, 0, sizeof *ledger);
    ledger->db = db;
    error_put(&ledger->schema, schema);
    error_text(&ledger->table, "%s", config_get(config, "version_table"));
    if (check_name(ledger->table, error) != 0)
        return -1;
    return ledger_look(ledger, error);
}

void ledger_close(struct ledger *ledger)
{
    int i;
    for (i = 0; i < LEDGER_COUNT; i++)
        free(ledger->sql[i]);
    free(ledger->schema);
    free(ledger->table);
    free(ledger->user);
    free(ledger->session);
    free(ledger->role);
    memset(ledger, 0, sizeof *ledger);
}

void ledger_send_host(struct ledger *ledger, const struct db_host *host, const char *text, int count,
                      const char *const *values, PGresult **into)
{
    char *sql = expand(ledger, text);
    struct db_statement statement = {.sql = sql, .host = host, .count = count, .values = values};
    if (into != NULL)
        db_send_wanted(ledger->db, &statement, into);
    else
        db_send(ledger->db, &statement);
    free(sql);
}

void ledger_send_text(struct ledger *ledger, const char *text, int count, const char *const *values, PGresult **into)
{
    ledger_send_host(ledger, NULL, text, count, values, into);
}

static void send_text(struct ledger *ledger, const char *text, int count, const char *const *values)
{
    ledger_send_text(ledger, text, count, values, NULL);
}

int ledger_create(struct ledger *ledger, const struct config *config, struct error *error)
{
    const char *database[2] = {config_service(config), config_environment(config)};
    size_t i;
    if (ledger->has_version && ledger->has_tables)
        return 0;
    txn_begin(ledger);
    if (!ledger->has_version)
        send_text(ledger, create_version, 0, NULL);
    for (i = 0; !ledger->has_tables && i < sizeof create_tables / sizeof *create_tables; i++)
        send_text(ledger, create_tables[i], 0, NULL);
    send_text(ledger, insert_database, 2, database);
    if (txn_commit(ledger, error) != 0) {
        if (strcmp(error->sqlstate, "42501") == 0)
            error_text(&error->hint,
                       "GRANT CREATE, USAGE ON SCHEMA %s TO %s, or migrate as the role that owns the database",
                       ledger->schema, ledger->user);
        if (strcmp(error->sqlstate, "3F000") == 0)
            error_text(&error->hint, "CREATE SCHEMA \"%s\", or correct version_table_schema", ledger->schema);
        error_text(&error->state, "dmlua's own tables could not be made in schema \"%s\"; nothing was changed",
                   ledger->schema);
        return -1;
    }
    ledger->has_version = ledger->has_tables = true;
    return 0;
}

int ledger_change(struct ledger *ledger, const char *text, struct error *error)
{
    txn_begin(ledger);
    send_text(ledger, text, 0, NULL);
    return txn_commit(ledger, error);
}

int ledger_create_version(struct ledger *ledger, struct error *error)
{
    if (ledger_change(ledger, create_version, error) != 0)
        return -1;
    ledger->has_version = true;
    return 0;
}
