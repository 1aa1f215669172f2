#ifndef DMLUA_TENANT_SETTINGS_H
#define DMLUA_TENANT_SETTINGS_H

#include "host/step.h"

/* An atomic loop has one transaction for all tenants: what a callback sets, even with LOCAL, would hold for the next
   one. */

/* A setting that the present callback has changed. */
struct tenant_setting {
    struct tenant_setting *next;
    char *name;
};

/* Sends, before a statement of the author's own: what it is about to set is kept on the server, if it is the first time
   in the present visit. Nothing for a statement that names no setting. */
void tenant_settings_keep(struct step *step, const struct db_statement *statement);
/* Sends, at the visit's end and while the role is still the tenant's: every one of them is as it was. */
void tenant_settings_put_back(struct step *step);
void tenant_settings_free(struct step *step);

#endif
