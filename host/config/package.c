/* script_location = PACKAGE:FOLDER. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "host/config/internal.h"
#include "host/config/text.h"

static bool is_folder(const char *folder, const char *path)
{
    char *whole = text_format("%s/%s", folder, path);
    struct stat status;
    bool is = stat(whole, &status) == 0 && S_ISDIR(status.st_mode);
    free(whole);
    return is;
}

/* "a.b:c" → "a/b/c", below `base`. Owned. */
static char *package_folder(const char *base, const char *location)
{
    char *path = text_format("%s%s", base, location), *at = path + strlen(base);
    for (; *at != ':'; at++)
        if (*at == '.')
            *at = '/';
    *at = '/';
    return path;
}

/* Alembic asks Python where the package lies: as a rule beside the configuration, or in src/, the folder that
   prepend_sys_path names then. What is not found there stays as it is, and is refused when the tree is opened. */
void package_resolve(struct config *config)
{
    static const char *const bases[] = {"", "src/"};
    struct setting *location = setting_of(config, "script_location");
    size_t i;
    if (location->value == NULL || *location->value == '/' || strchr(location->value, ':') == NULL ||
        is_folder(config->folder, location->value))
        return;
    for (i = 0; i < sizeof bases / sizeof *bases; i++) {
        char *path = package_folder(bases[i], location->value);
        if (is_folder(config->folder, path)) {
            free(location->value);
            location->value = path;
            return;
        }
        free(path);
    }
}
