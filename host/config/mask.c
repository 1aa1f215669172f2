#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/config/internal.h"
#include "host/config/text.h"
#include "host/config/url.h"

enum { SECRET_MIN = 4 /* shorter ones would tear words apart, and hide nothing */ };

/* Takes over `secret`. */
static void secret_add(struct config *config, char *secret)
{
    if (secret == NULL || strlen(secret) < SECRET_MIN ||
        text_in_list(secret, config->secrets, config->secret_count)) {
        free(secret);
        return;
    }
    config->secrets = text_resize(config->secrets, (config->secret_count + 1) * sizeof *config->secrets);
    config->secrets[config->secret_count++] = secret;
}

/* Percent-encoded as a URL would hold it; `digits` are upper or lower case. Owned. */
static char *encoded(const char *text, const char *digits)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    char *result = NULL;
    text_append(&result, "", 0);
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        char code[3] = {'%', digits[byte >> 4], digits[byte & 15]};
        if (strchr(plain, *text) != NULL)
            text_append(&result, text, 1);
        else
            text_append(&result, code, 3);
    }
    return result;
}

static void secret_add_forms(struct config *config, const char *secret)
{
    secret_add(config, text_copy(secret));
    secret_add(config, encoded(secret, "0123456789ABCDEF"));
    secret_add(config, encoded(secret, "0123456789abcdef"));
}

/* A password that is also the user, host or database (postgres:postgres@…) is told by those; hiding the word
   would only spoil messages. */
static bool is_told(const char *secret, const PQconninfoOption *option)
{
    for (; option->keyword != NULL; option++)
        if (!url_option_secret(option) && option->val != NULL && strstr(option->val, secret) != NULL)
            return true;
    return false;
}

static void url_collect(struct config *config, const char *url)
{
    struct error error = {0};
    PQconninfoOption *options = url_options(url, "url", &error), *option;
    bool told = false;
    for (option = options; option != NULL && option->keyword != NULL; option++)
        if (url_option_secret(option) && option->val != NULL) {
            told = is_told(option->val, options);
            if (!told)
                secret_add_forms(config, option->val);
        }
    if (!told)
        secret_add(config, url_written_password(url));
    PQconninfoFree(options);
    error_clear(&error);
}

void secrets_collect(struct config *config)
{
    const char *password = getenv("PGPASSWORD");
    size_t i;
    for (i = 0; i < config->file.entry_count; i++) {
        const struct key *key = entry_key(&config->file.entries[i]);
        if (key != NULL && key->type == KEY_URL && config->texts[i] != NULL)
            url_collect(config, config->texts[i]);
    }
    for (i = 0; i < key_count; i++)
        if (keys[i].type == KEY_URL && config->settings[i].value != NULL)
            url_collect(config, config->settings[i].value);
    if (password != NULL)
        secret_add_forms(config, password);
}

/* The longest secret that stands here; 0: none. */
static size_t secret_at(const struct config *config, const char *text)
{
    size_t longest = 0, i;
    for (i = 0; i < config->secret_count; i++) {
        size_t size = strlen(config->secrets[i]);
        if (size > longest && strncmp(text, config->secrets[i], size) == 0)
            longest = size;
    }
    return longest;
}

char *config_mask(const struct config *config, const char *text)
{
    char *masked = NULL;
    size_t start = 0, at = 0, size;
    text_append(&masked, "", 0);
    while (text[at] != '\0') {
        size = secret_at(config, text + at);
        if (size == 0) {
            at++;
            continue;
        }
        text_append(&masked, text + start, at - start);
        text_append(&masked, "***", 3);
        start = at += size;
    }
    text_append(&masked, text + start, at - start);
    return masked;
}
