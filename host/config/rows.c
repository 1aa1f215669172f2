#include <stdlib.h>
#include <string.h>

#include "host/config/internal.h"
#include "host/config/text.h"
#include "host/config/url.h"

static void row_add(struct config *config, const char *key, char *value, const char *origin, char *note)
{
    struct config_row *row;
    config->rows = text_resize(config->rows, (config->row_count + 1) * sizeof *config->rows);
    row = &config->rows[config->row_count++];
    row->key = key;
    row->value = value;
    row->origin = text_copy(origin != NULL ? origin : value != NULL ? "default" : "not set");
    row->note = note;
}

static char *value_shown(const struct key *key, const char *value)
{
    if (value == NULL || *value == '\0')
        return NULL;
    return key->type == KEY_URL ? url_masked(value) : text_copy(value);
}

static void rows_make(struct config *config)
{
    size_t i;
    row_add(config, "file", text_copy(config->file.shown), config->folder, NULL);
    if (config->service_count > 0)
        row_add(config, "service", text_copy(config->service),
                config->service != NULL ? config->service_origin : "none was named", NULL);
    for (i = 0; i < key_count; i++) {
        const struct setting *setting = &config->settings[i];
        if (setting->value != NULL || strcmp(keys[i].name, "url") == 0)
            row_add(config, keys[i].name, value_shown(&keys[i], setting->value), setting->origin,
                    setting_problem(config, &keys[i]));
    }
}

size_t config_rows(struct config *config, const struct config_row **rows)
{
    if (config->rows == NULL)
        rows_make(config);
    *rows = config->rows;
    return config->row_count;
}
