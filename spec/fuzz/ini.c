/* libFuzzer's entry: reads each input as a configuration, and asks all that can be asked of one. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/config.h"
#include "host/config/text.h"
#include "host/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The notice of a configuration is of no interest here. */
void report_log(enum report_level level, const char *logger, const char *format, ...)
{
    (void)level, (void)logger, (void)format;
}

static void ask(struct config *config)
{
    const struct config_row *rows;
    struct config_connection connection;
    struct error error = {0};
    char **locations;
    size_t count = config_version_locations(config, &locations);
    text_list_free(locations, count);
    config_rows(config, &rows);
    if (config_connection(config, &connection, &error) == 0)
        config_connection_free(&connection);
    error_clear(&error);
    config_check_rails(config, CONFIG_DATABASE, &error);
    error_clear(&error);
    free(config_mask(config, "postgresql://u:password@h/d"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    struct config_options options = {.file = path};
    struct config *config;
    struct error error = {0};
    int file = memfd_create("dmlua.ini", 0);
    if (file < 0 || write(file, data, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    if (config_load(&options, &config, &error) == 0)
        ask(config);
    else if (error.kind != ERROR_USAGE || error.message == NULL)
        abort();
    config_free(config);
    error_clear(&error);
    close(file);
    return 0;
}
