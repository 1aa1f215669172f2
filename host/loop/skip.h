#ifndef DMLUA_LOOP_SKIP_H
#define DMLUA_LOOP_SKIP_H

#include "host/loop/part.h"

/* --skip-tenant: tenants that the run's resumable loops leave out. They are written down when the loop's part closes,
   in the same transaction; until then a rerun visits them, unless it is told again. */

/* Are the tenants in the list, and not done? Asked of the first loop that a run opens. An error (usage) names the one
   that is not. */
int skip_check(struct tenant_loop *loop, struct error *error);
/* Has an earlier run, which closed the loop, left them out? Then the run has not asked for it in vain. */
int skip_check_closed(struct tenant_loop *loop, struct error *error);
/* Notes which of them the newest list has. */
void skip_note(struct tenant_loop *loop);
/* Is the tenant one of them? */
bool skip_has(const struct run *run, const char *id);
/* Sends their rows, of dmlua_progress and of the ledger. */
void skip_send(struct tenant_loop *loop);
/* Says who was left out, when that is committed. */
void skip_say(const struct tenant_loop *loop);

#endif
