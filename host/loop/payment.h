#ifndef DMLUA_LOOP_PAYMENT_H
#define DMLUA_LOOP_PAYMENT_H

#include "host/loop/part.h"

/* A loop while --only-tenant pays: its part is done, and some of the tenants that it left out are visited now. */

/* Does the run pay debts, and nothing else? */
bool payment_runs(const struct run *run);
/* How many of the run's tenants owe the step's part. */
size_t payment_count(const struct step *step, int part);
/* Does the tenant owe the part, and is it to pay? */
bool payment_wants(const struct step *step, int part, const char *id);
/* Takes the part over for this run. Fails when a tenant is not in the loop's list any more. */
int payment_open(struct tenant_loop *loop, struct error *error);
/* Behind the tenant's row, in its transaction: the debt is gone, and the ledger says so. */
void payment_send(const struct tenant_loop *loop, const char *id);

#endif
