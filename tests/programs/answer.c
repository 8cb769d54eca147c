/* Runs only when the loader finds libanswer.so; prints what it says. */
#include <stdio.h>

#include "answer.h"

int main(void) {
  printf("%d\n", answer());
  return answer() != 42;
}
