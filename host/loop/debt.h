#ifndef DMLUA_LOOP_DEBT_H
#define DMLUA_LOOP_DEBT_H

#include "host/run.h"

/* A tenant that a resumable loop left out, because --skip-tenant said so, owes its revision: once the step is done, its
   row of dmlua_progress stays, and with it the rows of the step's parts, in state `owed`, from which --only-tenant
   takes up the loop again. Reason, who and when are told by the ledger's row of the skip. */
enum debt_field { DEBT_WHAT, DEBT_DIRECTION, DEBT_PART, DEBT_TENANT, DEBT_REASON, DEBT_WHO, DEBT_SINCE, DEBT_FIELDS };

/* All debts, in the order of these fields. */
#define DEBTS_TEXT \
    "SELECT t.what, t.direction, t.part, t.tenant, l.reason, l.who," \
    " pg_catalog.to_char(l.started AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')" \
    " FROM {s}.dmlua_progress p JOIN {s}.dmlua_progress t ON t.version_table = p.version_table AND t.what = p.what" \
    " AND t.direction = p.direction AND t.part = p.part AND t.round = p.round AND t.tenant <> ''" \
    " AND t.state <> 'done'" \
    " LEFT JOIN LATERAL (SELECT reason, who, started FROM {s}.dmlua_ledger WHERE version_table = t.version_table" \
    " AND what = t.what AND kind = t.direction AND part = t.part AND tenant = t.tenant AND outcome = 'skipped'" \
    " ORDER BY id DESC LIMIT 1) l ON true" \
    " WHERE p.version_table = {t} AND p.tenant_key = '' AND p.state = 'owed'" \
    " ORDER BY t.what, t.direction, t.part, t.tenant"

struct graph;
struct graph_plan;

/* The rows of run->at.debts, and what stands in them. Borrowed. */
int debt_rows(const struct run *run);
const char *debt_text(const struct run *run, int row, enum debt_field field);
bool debt_is_of(const struct run *run, int row, const char *what, const char *direction);
/* Is the revision applied where these are the version rows? */
bool debt_is_applied(const struct graph *graph, const char *revision, const char *const *rows, size_t row_count);
/* Does the plan take back the step that is owed? */
bool debt_is_crossed(const struct run *run, int row, const struct graph *graph, const struct graph_plan *plan);
/* A plan that does is refused, unless --abandon says that the debts go with it. */
int debt_check(const struct run *run, const struct graph *graph, const struct graph_plan *plan, struct error *error);
/* Sends: a debt is forgotten, or all of a step, and the ledger says so of each. */
void debt_send_dropped(struct run *run, int row);
void debt_send_abandoned(struct run *run, const char *what, const char *direction);
/* Sends: the parts' rows go when nobody owes the step any more. */
void debt_send_sweep(struct run *run, const char *what, const char *direction);

#endif
