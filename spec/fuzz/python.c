/* libFuzzer's entry: reads each input as a revision in Python. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "host/script/python.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A header that is whole has one revision, and whatever it holds are texts. */
static size_t check(const struct python_header *header)
{
    size_t total = 0, i;
    int field;
    for (field = 0; field < PYTHON_FIELDS; field++)
        for (i = 0; i < header->fields[field].count; i++)
            total += strlen(header->fields[field].texts[i]);
    if (header->fault == NULL && header->fields[PYTHON_REVISION].count != 1)
        abort();
    return header->doc != NULL ? total + strlen(header->doc) : total;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct python_header header;
    char *text = malloc(size > 0 ? size : 1); /* of exactly this size, so that a step too far is seen */
    if (text == NULL)
        abort();
    memcpy(text, data, size);
    python_read(text, size, &header);
    if (check(&header) > size * 2)
        abort();
    python_free(&header);
    free(text);
    return 0;
}
