#ifndef DMLUA_HIDE_H
#define DMLUA_HIDE_H

/* Writes * over what is plainly a password in a text that somebody typed, wherever they typed it: the one of a URL
   (…://USER:PASSWORD@…) and the value of password= in a conninfo. */
void hide_passwords(char *text);

/* The same for the arguments of the process, which everybody on the machine can read; what follows --url is written
   over as a whole. */
void hide_arguments(int argc, char **argv);

#endif
