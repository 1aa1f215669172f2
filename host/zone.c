#include "host/zone.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { NAME_MAX_BYTES = 100 };

/* The C library takes a zone that it does not know for UTC; so it is looked for first. */
static bool zone_exists(const char *name)
{
    const char *folder = getenv("TZDIR");
    char path[512];
    struct stat status;
    if (*name == '\0' || *name == '/' || strstr(name, "..") != NULL || strlen(name) > NAME_MAX_BYTES)
        return false;
    snprintf(path, sizeof path, "%s/%s", folder != NULL && *folder != '\0' ? folder : "/usr/share/zoneinfo", name);
    return stat(path, &status) == 0 && S_ISREG(status.st_mode);
}

static bool local_time(const char *setting, time_t when, struct tm *fields)
{
    const char *was = getenv("TZ");
    char *saved = was != NULL ? strdup(was) : NULL;
    bool known;
    setenv("TZ", setting, 1);
    tzset();
    known = localtime_r(&when, fields) != NULL;
    if (saved != NULL)
        setenv("TZ", saved, 1);
    else
        unsetenv("TZ");
    tzset();
    free(saved);
    return known;
}

bool zone_time(const char *name, time_t when, struct tm *fields)
{
    char setting[NAME_MAX_BYTES + 2], *c;
    if (name == NULL)
        return localtime_r(&when, fields) != NULL;
    if (strcmp(name, "UTC") == 0 || strcmp(name, "utc") == 0) /* also where there is no tz database */
        return gmtime_r(&when, fields) != NULL;
    if (strlen(name) > NAME_MAX_BYTES)
        return false;
    snprintf(setting, sizeof setting, ":%s", name);
    if (!zone_exists(name))
        for (c = setting; *c != '\0'; c++)
            *c = (char)toupper((unsigned char)*c);
    return zone_exists(setting + 1) && local_time(setting, when, fields);
}
