#include "host/tenant_settings.h"

#include <stdlib.h>
#include <strings.h>

#include "host/config.h"
#include "host/loop/settings.h"

enum { PLACE_SIZE = 32 };

/* Where the server keeps the number'th one. */
static void name_place(char place[PLACE_SIZE], int number)
{
    snprintf(place, PLACE_SIZE, "dmlua.kept_%d", number);
}

/* The visit's end looks itself at what belongs to the loop, and has other values then; nobody can read a seed. */
static bool is_exempt(const struct step *step, const char *name)
{
    static const char *const names[] = {"role", "session_authorization", "row_security", "seed"};
    const char *context = config_get(step->run->config, "tenant_setting");
    size_t i;
    for (i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(names[i], name) == 0)
            return true;
    return context != NULL && strcasecmp(context, name) == 0;
}

static struct origin origin_of(const struct step *step)
{
    struct origin origin = {.revision = step->plan->revision, .file = step->script->path, .tenant = step->tenant};
    return origin;
}

static void keep(void *data, const char *name)
{
    struct step *step = data;
    struct origin origin = origin_of(step);
    struct tenant_setting **at = &step->changed;
    char place[PLACE_SIZE];
    const char *values[2] = {place, name};
    int number = 1;
    if (is_exempt(step, name))
        return;
    for (; *at != NULL; at = &(*at)->next, number++)
        if (strcasecmp((*at)->name, name) == 0)
            return;
    *at = calloc(1, sizeof **at);
    if (*at == NULL)
        abort();
    error_text(&(*at)->name, "%s", name);
    name_place(place, number);
    ledger_send(step->run->ledger, LEDGER_SETTING_KEEP, 2, values, &origin);
}

void tenant_settings_keep(struct step *step, const struct db_statement *statement)
{
    bool atomic = step->tenant != NULL && step->visit == NULL && step->fix == NULL && step->kept == NULL;
    if (atomic && statement->origin.raw)
        setting_names(statement, keep, step);
}

void tenant_settings_put_back(struct step *step)
{
    const struct tenant_setting *setting;
    struct origin origin = origin_of(step);
    char place[PLACE_SIZE];
    int number = 1;
    for (setting = step->changed; setting != NULL; setting = setting->next) {
        const char *values[2] = {setting->name, place};
        name_place(place, number++);
        ledger_send(step->run->ledger, LEDGER_SETTING_BACK, 2, values, &origin);
    }
    tenant_settings_free(step);
}

void tenant_settings_free(struct step *step)
{
    while (step->changed != NULL) {
        struct tenant_setting *setting = step->changed;
        step->changed = setting->next;
        free(setting->name);
        free(setting);
    }
}
