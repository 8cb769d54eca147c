/* Counts the root certificates that OpenSSL itself takes from its default
   places, of which $SSL_CERT_FILE is the first; prints the count. */
#include <openssl/x509_vfy.h>
#include <stdio.h>

int main(void) {
  X509_STORE *store = X509_STORE_new();
  if (!store || !X509_STORE_set_default_paths(store))
    return 1;
  int count = sk_X509_OBJECT_num(X509_STORE_get0_objects(store));
  printf("%d\n", count);
  return count == 0;
}
