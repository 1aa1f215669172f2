#ifndef DMLUA_UTF8_H
#define DMLUA_UTF8_H

#include <stddef.h>

/* How many leading bytes are well-formed UTF-8 (RFC 3629: no surrogates, nothing overlong, up to U+10FFFF).
 */
size_t utf8_valid(const char *text, size_t size);

#endif
