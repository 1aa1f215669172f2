#ifndef DMLUA_LOOP_FAILED_H
#define DMLUA_LOOP_FAILED_H

#include "host/loop/part.h"

/* What a resumable loop says of the tenants that have failed in it: once, when it ends, and in the ledger. */

/* The loop has come to its end: fails (kind partial) when tenants have failed. One that the list has lost since is
   none. */
int failed_close(struct tenant_loop *loop, struct error *error);
/* The loop was broken off by `error`, which tells what had failed until then. */
void failed_break(struct tenant_loop *loop, struct error *error);
/* The list had new tenants each of the `looks` times that it was read: breaks the loop off, and says so. */
void failed_endless(struct tenant_loop *loop, int looks, struct error *error);

#endif
