#ifndef DMLUA_TENANT_H
#define DMLUA_TENANT_H

#include "host/step.h"

/* The tenants a loop visits, as the configuration's tenants_query (or `from`) gives them: first column the id. Fails
   for an unreadable list, a NULL, and an empty list unless `allow_empty` or the database was new. `again`: it is looked
   at again before the step ends. Owned: PQclear. */
PGresult *tenant_list(struct step *step, const char *from, bool allow_empty, bool again, struct error *error);
/* The same, not kept for a rerun and not looked at again: for a loop that keeps its own record. */
PGresult *tenant_read(struct step *step, const char *from, bool allow_empty, struct error *error);
/* Settles, at the first loop and again when something was sent that may have changed it, the role under which callbacks
   run: tenant_role, else app_role, else none. Refuses one that the policies do not hold; where none is set, development
   warns. */
int tenant_settle_role(struct step *step, struct error *error);
/* From here on the step's statements are this tenant's: context, row security, role. */
int tenant_enter(struct step *step, const char *id, struct error *error);
/* Checks on the server that they still are, and puts all three back. */
void tenant_leave(struct step *step);
/* Has a list changed since a loop of the step's transaction read it? Then the step may not commit. */
int tenant_check_list(struct step *step, struct error *error);
void tenant_forget(struct step *step);
/* Fails for a list of `count` tenants that `source` gave, when that is none and nobody expected so. */
int tenant_check_count(const struct step *step, const char *source, size_t count, bool allow_empty,
                       struct error *error);

#endif
