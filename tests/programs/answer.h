/* A library of a user's own, found by the loader in /usr/local/lib or nowhere. */
int answer(void);
