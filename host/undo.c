#include "host/undo.h"

#include <stdlib.h>
#include <string.h>

#include "host/config.h"
#include "host/tenant.h"
#include "host/txn.h"

/* It lives in the session alone and ends with the transaction. Default privileges hold for it, too. */
static const char make_stage[] =
    "CREATE TEMPORARY TABLE dmlua_undo_rows (name pg_catalog.text COLLATE pg_catalog.\"C\" NOT NULL,"
    " key pg_catalog.text COLLATE pg_catalog.\"C\" NOT NULL, before pg_catalog.text COLLATE pg_catalog.\"C\","
    " after pg_catalog.text COLLATE pg_catalog.\"C\") ON COMMIT DROP";
static const char close_stage[] =
    "DO $$ DECLARE role text; BEGIN FOR role IN SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC'"
    " ELSE CAST(CAST(a.grantee AS regrole) AS text) END FROM pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) a"
    " WHERE c.oid = CAST('pg_temp.dmlua_undo_rows' AS regclass) AND a.grantee <> c.relowner"
    " LOOP EXECUTE pg_catalog.concat('REVOKE ALL ON pg_temp.dmlua_undo_rows FROM ', role); END LOOP; END $$";
static const char let_insert[] = "GRANT INSERT ON pg_temp.dmlua_undo_rows TO PUBLIC";
static const char let_select[] = "GRANT SELECT ON pg_temp.dmlua_undo_rows TO PUBLIC";

static const char keep[] =
    "WITH changed AS (SELECT name, key, pg_catalog.max(before) AS before, pg_catalog.max(after) AS after"
    " FROM pg_temp.dmlua_undo_rows GROUP BY name, key HAVING pg_catalog.max(before) IS DISTINCT"
    " FROM pg_catalog.max(after)),"
    " kept AS (INSERT INTO {s}.dmlua_undo (version_table, run_id, tenant, table_name, key, before, after)"
    " SELECT {t}, CAST($1 AS uuid), CAST($2 AS text), name, key, before, after FROM changed RETURNING 1)"
    " INSERT INTO {s}.dmlua_progress (version_table, what, direction, part, run_id, tenant, state, cursor)"
    " SELECT {t}, CAST($1 AS text), 'undo', 1, CAST($1 AS uuid), CAST($2 AS text), 'kept',"
    " CAST(pg_catalog.count(*) AS text) FROM kept";

static const char load[] = "INSERT INTO pg_temp.dmlua_undo_rows (name, key, before, after)"
                           " SELECT table_name, key, before, after FROM {s}.dmlua_undo"
                           " WHERE version_table = {t} AND run_id = CAST($1 AS uuid) AND tenant = CAST($2 AS text)";

/* Of dmlua_progress, the rest of the key behind what and direction: a table of ten thousand tenants is not to be read
   for each of them. */
#define OF_TENANT(p) p "part = 1 AND " p "round = 0 AND " p "tenant_key = " LEDGER_TENANT_KEY("CAST($2 AS text)")

/* Of the tenant's pre-images, by the row that was written with them. */
static const char check_loaded[] =
    "SELECT CAST(coalesce('dmlua[' || CASE WHEN p.state IS NULL THEN 'no pre-images were kept'"
    " WHEN p.state <> 'kept' THEN 'the pre-images are gone: another run has been here'"
    " WHEN p.cursor <> CAST(r.count AS text)"
    " THEN r.count || ' of ' || p.cursor || ' pre-images are there: somebody else has changed dmlua_undo' END || ']',"
    " '1')"
    " AS integer) FROM (SELECT pg_catalog.count(*) AS count FROM pg_temp.dmlua_undo_rows) r"
    " LEFT JOIN {s}.dmlua_progress p ON p.version_table = {t} AND p.what = CAST($1 AS text) AND p.direction = 'undo'"
    " AND " OF_TENANT("p.");

static const char drop[] = "DELETE FROM {s}.dmlua_undo WHERE version_table = {t} AND run_id = CAST($1 AS uuid)"
                           " AND tenant = CAST($2 AS text)";

/* An earlier run of the fix stands again; without one that is not undone, the fix may run again. Nothing of both where
   another run has come since. */
static const char settle[] =
    "WITH changed AS (UPDATE {s}.dmlua_progress SET state = 'done', run_id = CAST($3 AS uuid),"
    " changed = pg_catalog.now()"
    " WHERE version_table = {t} AND what = CAST($1 AS text) AND direction = 'undo' AND " OF_TENANT("")
    " AND state = 'kept' RETURNING 1), standing AS (SELECT cursor AS earlier FROM {s}.dmlua_progress"
    " WHERE version_table = {t}"
    " AND what = CAST($4 AS text) AND direction = 'run' AND " OF_TENANT("") " AND run_id = CAST($1 AS uuid)),"
    " earlier AS (SELECT e.run FROM standing s, pg_catalog.unnest(pg_catalog.string_to_array(s.earlier, ' '))"
    " WITH ORDINALITY AS e(run, place) WHERE e.run <> $1 AND NOT EXISTS (SELECT FROM {s}.dmlua_progress u"
    " WHERE u.version_table = {t} AND u.what = e.run AND u.direction = 'undo' AND " OF_TENANT("u.")
    " AND u.state = 'done') ORDER BY e.place DESC LIMIT 1),"
    " restored AS (UPDATE {s}.dmlua_progress p SET run_id = CAST(e.run AS uuid) FROM earlier e"
    " WHERE p.version_table = {t}"
    " AND p.what = CAST($4 AS text) AND p.direction = 'run' AND " OF_TENANT("p.")
    " AND p.run_id = CAST($1 AS uuid)), released AS (DELETE FROM {s}.dmlua_progress WHERE version_table = {t}"
    " AND what = CAST($4 AS text) AND direction = 'run' AND " OF_TENANT("") " AND run_id = CAST($1 AS uuid)"
    " AND NOT EXISTS (SELECT FROM earlier))"
    " SELECT CAST(coalesce('dmlua[' || CASE WHEN pg_catalog.count(*) <> 1"
    " THEN 'another run has been here' END || ']', '1')"
    " AS integer) FROM changed";

static const struct db_host quiet = {.plain = true};
static const struct db_host raising = {.plain = true, .kind = ERROR_MIGRATION, .failure = ""};

static void send(struct step *step, const char *text, int count, const char *const *values, PGresult **into)
{
    const struct db_host *host = text == check_loaded || text == settle ? &raising : &quiet;
    ledger_send_host(step->run->ledger, host, text, count, values, into);
}

/* As they are: names of the user's may look like ours. */
static void send_list(struct step *step, const char *const *list)
{
    struct db_statement statement = {.host = &quiet};
    statement.origin.revision = step->plan->revision;
    statement.origin.file = step->script->path;
    statement.origin.tenant = step->tenant;
    statement.origin.role = step_role(step);
    for (; *list != NULL; list++) {
        statement.sql = *list;
        db_send(step->run->ledger->db, &statement);
    }
}

/* The tenant's context for the migrator itself, whom the policy of dmlua_undo holds. */
static void enter_alone(struct step *step, const char *id)
{
    struct run *run = step->run;
    const char *values[3] = {config_get(run->config, "tenant_setting"), id, run->ledger->role};
    ledger_send(run->ledger, LEDGER_TENANT_ENTER, 3, values, NULL);
}

static void leave_alone(struct step *step)
{
    const char *setting = config_get(step->run->config, "tenant_setting");
    ledger_send(step->run->ledger, LEDGER_SETTINGS, 1, &setting, NULL);
}

/* Is it there, with row security that holds for its owner and the policy of this service's setting? */
static const char table_stands[] =
    "SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_policy p ON p.polrelid = c.oid"
    " WHERE c.oid = pg_catalog.to_regclass($1) AND c.relrowsecurity AND c.relforcerowsecurity AND p.polname = {t}"
    " AND pg_catalog.strpos(pg_catalog.pg_get_expr(p.polqual, p.polrelid), pg_catalog.quote_literal($2)) > 0";

/* Owned. */
static char *table_name(const struct ledger *ledger)
{
    char *schema = PQescapeIdentifier(db_connection(ledger->db), ledger->schema, strlen(ledger->schema)), *name = NULL;
    if (schema == NULL)
        abort();
    error_text(&name, "%s.dmlua_undo", schema);
    PQfreemem(schema);
    return name;
}

int undo_make_table(struct run *run, const struct undo_log *log, struct error *error)
{
    struct ledger *ledger = run->ledger;
    char *table = table_name(ledger);
    const char *values[2] = {table, config_get(run->config, "tenant_setting")};
    struct db_statement make = {.sql = log->make, .host = &quiet};
    PGresult *found;
    bool stands;
    found = ledger_query(ledger, table_stands, 2, values, error);
    free(table);
    if (found == NULL)
        return -1;
    stands = PQntuples(found) > 0;
    PQclear(found);
    if (stands)
        return 0;
    txn_begin(ledger);
    db_send(ledger->db, &make);
    return txn_commit(ledger, error);
}

/* The images of the rows, read as the tenant's role; nobody can write there afterwards. */
static int send_images(struct step *step, const char *const *list, const char *id, struct error *error)
{
    send(step, let_insert, 0, NULL, NULL);
    if (tenant_enter(step, id, error) != 0)
        return -1;
    send_list(step, list);
    tenant_leave(step);
    send(step, close_stage, 0, NULL, NULL);
    return 0;
}

int undo_keep_before(struct step *step, const struct undo_log *log, const char *id, struct error *error)
{
    send(step, make_stage, 0, NULL, NULL);
    return send_images(step, log->before, id, error);
}

int undo_keep_after(struct step *step, const struct undo_log *log, const char *id, bool dry_run, struct error *error)
{
    const char *values[2] = {step->run->id, id};
    if (send_images(step, log->after, id, error) != 0)
        return -1;
    if (dry_run)
        return 0;
    enter_alone(step, id);
    send(step, keep, 2, values, NULL);
    leave_alone(step);
    return 0;
}

void undo_load(struct step *step, const char *run, const char *id, PGresult **loaded)
{
    const char *values[2] = {run, id};
    send(step, make_stage, 0, NULL, NULL);
    send(step, close_stage, 0, NULL, NULL);
    enter_alone(step, id);
    send(step, load, 2, values, loaded);
    leave_alone(step);
    send(step, check_loaded, 2, values, NULL);
    send(step, let_select, 0, NULL, NULL);
}

void undo_settle(struct step *step, const char *run, const char *id)
{
    const char *values[4] = {run, id, step->run->id, step->script->sha256};
    enter_alone(step, id);
    send(step, drop, 2, values, NULL);
    leave_alone(step);
    send(step, settle, 4, values, NULL);
}

/* Row security holds its owner, too, and there is no one tenant to be. */
static const char owner_is_held[] =
    "SELECT pg_catalog.pg_has_role(c.relowner, 'USAGE') AND NOT r.rolsuper AND NOT r.rolbypassrls"
    " FROM pg_catalog.pg_class c, pg_catalog.pg_roles r WHERE c.oid = CAST($1 AS regclass)"
    " AND r.rolname = current_user";

static const char forget_rows[] = "DELETE FROM {s}.dmlua_undo WHERE version_table = {t} AND run_id = CAST($1 AS uuid)";
static const char forget_state[] =
    "UPDATE {s}.dmlua_progress SET state = 'forgotten', run_id = CAST($2 AS uuid), changed = pg_catalog.now()"
    " WHERE version_table = {t} AND what = CAST($1 AS text) AND direction = 'undo' AND state = 'kept'";

/* Sends the transaction but for its COMMIT. */
static int forget(struct run *run, const struct script *fix, const char *id, bool held, long long *rows,
                  struct error *error)
{
    struct ledger *ledger = run->ledger;
    const char *values[2] = {id, run->id};
    char *note = NULL;
    PGresult *dropped;
    if (held)
        ledger_send_host(ledger, &quiet, "ALTER TABLE {s}.dmlua_undo NO FORCE ROW LEVEL SECURITY", 0, NULL, NULL);
    ledger_send_host(ledger, &quiet, forget_rows, 1, values, &dropped);
    if (held)
        ledger_send_host(ledger, &quiet, "ALTER TABLE {s}.dmlua_undo FORCE ROW LEVEL SECURITY", 0, NULL, NULL);
    ledger_send_host(ledger, &quiet, forget_state, 2, values, NULL);
    if (db_await(ledger->db, error) == 0) {
        *rows = strtoll(PQcmdTuples(dropped), NULL, 10);
        error_text(&note, "pre-images of %.8s", id);
        run_record_tenant(run, fix->revision, NULL, fix->sha256, "forgotten", note, *rows, -1);
        free(note);
    }
    PQclear(dropped);
    return error->kind == ERROR_NONE ? 0 : -1;
}

int undo_forget(struct run *run, const struct script *fix, const char *id, long long *rows, struct error *error)
{
    PGresult *held;
    char *table;
    int rc;
    if (run_begin(run, error) != 0)
        return -1;
    table = table_name(run->ledger);
    held = ledger_query(run->ledger, owner_is_held, 1, (const char *const *)&table, error);
    free(table);
    if (held == NULL)
        return -1;
    txn_begin(run->ledger);
    rc = forget(run, fix, id, PQntuples(held) > 0 && *PQgetvalue(held, 0, 0) == 't', rows, error);
    PQclear(held);
    if (rc == 0)
        return txn_commit(run->ledger, error);
    txn_rollback(run->ledger, error);
    return -1;
}
