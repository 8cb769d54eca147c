/* Shows what `musl-dynamic` gives to a program linked against musl. A line for each thing;
   the exit status is 1 when one of them is not as promised. */
#define _GNU_SOURCE
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static int failures;

static void report(int good, const char *what, const char *value) {
  printf("%-6s %s: %s\n", good ? "ok" : "FAILED", what, value);
  failures += !good;
}

/* Accounts: /etc/passwd, by way of the C library. */
static void accounts(void) {
  const struct passwd *user = getpwnam("nonroot");
  char value[256] = "no such user";
  if (user)
    snprintf(value, sizeof value, "%u:%u, home %s", user->pw_uid, user->pw_gid, user->pw_dir);
  report(user && user->pw_uid == 65532 && user->pw_gid == 65532, "user nonroot", value);
}

/* Time zones by rule; zones by name need tzdata, which this image leaves out. */
static void time_zone(void) {
  char value[64];
  time_t epoch = 0;
  setenv("TZ", "EST5EDT,M3.2.0,M11.1.0", 1);
  tzset();
  strftime(value, sizeof value, "%F %T %z", localtime(&epoch));
  report(strcmp(value, "1969-12-31 19:00:00 -0500") == 0, "TZ=EST5EDT at the epoch", value);
}

/* Text: the locale C.UTF-8. */
static void text(void) {
  setenv("LC_ALL", "C.UTF-8", 1);
  const char *locale = setlocale(LC_ALL, "");
  report(locale && strcmp(nl_langinfo(CODESET), "UTF-8") == 0, "codeset of LC_ALL=C.UTF-8",
         locale ? nl_langinfo(CODESET) : "no such locale");
}

/* Certificates: the bundle that $SSL_CERT_FILE names. */
static void certificates(void) {
  const char *path = getenv("SSL_CERT_FILE");
  FILE *file = path ? fopen(path, "r") : NULL;
  char line[256], value[256] = "SSL_CERT_FILE is not set";
  int count = 0;
  if (path)
    snprintf(value, sizeof value, "%s: %s", path, strerror(errno));
  if (file) {
    while (fgets(line, sizeof line, file))
      count += strncmp(line, "-----BEGIN CERTIFICATE-----", 27) == 0;
    fclose(file);
    snprintf(value, sizeof value, "%d", count);
  }
  report(count > 100, "root certificates", value);
}

/* A place for temporary files, for every user. */
static void temporary(void) {
  struct stat status;
  char value[64] = "none";
  int found = stat("/tmp", &status) == 0;
  if (found)
    snprintf(value, sizeof value, "%04o", status.st_mode & 07777);
  report(found && S_ISDIR(status.st_mode) && (status.st_mode & 07777) == 01777, "mode of /tmp", value);
}

int main(void) {
  puts("hello from musl");
  accounts();
  time_zone();
  text();
  certificates();
  temporary();
  return failures != 0;
}
