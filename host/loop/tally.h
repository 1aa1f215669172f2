#ifndef DMLUA_LOOP_TALLY_H
#define DMLUA_LOOP_TALLY_H

#include <stdbool.h>
#include <stddef.h>

#include "host/db/db.h"

struct run;
struct tally;

/* Rows that scripts' statements have written, by tenant and statement (file:line), as their command tags say. They are
   counted while answers are taken, kept once the transaction that wrote them is known to be committed, and written into
   the ledger behind that, many at a time, without a wait: a kill may lose the last of them, and loses nothing else. */

/* Counts of one transaction. Begins zeroed. */
struct tally_counts {
    struct tally_count *counts;
    size_t count, room;
};
/* Told by the connection: `counts` is a struct tally_counts. */
void tally_rows(void *counts, const struct origin *origin, long long rows);
/* Forgets them: the transaction is taken back. */
void tally_drop(struct tally_counts *counts);
/* The tenant is visited, and may have sent nothing: that is a line, too. */
void tally_tenant(struct tally_counts *counts, const char *what, const char *tenant);
/* Keeps them for the ledger, and empties them. `part` has done it (0: none). */
void tally_keep(struct run *run, struct tally_counts *counts, int part);
/* Is there enough to be written? */
bool tally_is_due(const struct run *run);
/* Writes what is kept, behind what was sent; the connection stands between two transactions. Waits for nothing, and a
   failure is nobody's. */
void tally_write(struct run *run);
/* Sends, in the transaction that closes a loop's part: tenants that are done and of whom nothing was counted, because
   the run that did them was killed before it had written that, are unknown. What is kept is written before. */
void tally_send_unknown(struct run *run, const char *what, const char *direction, int part);
/* Writes the rest, and waits. */
void tally_close(struct run *run);

#endif
