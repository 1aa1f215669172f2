/* What happens, as JSON: an object a line on stdout. */
#include <stdio.h>

#include "host/report.h"
#include "host/report_internal.h"

void report_event_begin(const char *name)
{
    report_clear_line();
    fputs("{\"event\":", stdout);
    put_json_string(stdout, name);
}

void report_event_text(const char *name, const char *value)
{
    fprintf(stdout, ",\"%s\":", name);
    if (value == NULL || *value == '\0')
        fputs("null", stdout);
    else
        put_json_string(stdout, value);
}

void report_event_number(const char *name, long long value)
{
    if (value < 0)
        fprintf(stdout, ",\"%s\":null", name);
    else
        fprintf(stdout, ",\"%s\":%lld", name, value);
}

void report_event_seconds(const char *name, double value)
{
    fprintf(stdout, ",\"%s\":%.3f", name, value);
}

void report_event_end(void)
{
    fputs("}\n", stdout);
    fflush(stdout);
}
