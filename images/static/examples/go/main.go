// Shows what `static` gives to a Go program. A line for each thing; the exit
// status is 1 when one of them is not as promised.
package main

import (
	"crypto/x509"
	"fmt"
	"mime"
	"net"
	"os"
	"os/user"
	"time"
)

var failures int

func report(good bool, what string, value any) {
	word := "ok"
	if !good {
		word = "FAILED"
		failures++
	}
	fmt.Printf("%-6s %s: %v\n", word, what, value)
}

// either is what to print: the value, or why there is none.
func either(value any, err error) any {
	if err != nil {
		return err
	}
	return value
}

func accounts() {
	account, err := user.Lookup("nonroot")
	if err != nil {
		report(false, "user nonroot", err)
		return
	}
	report(account.Uid == "65532" && account.Gid == "65532", "user nonroot",
		fmt.Sprintf("%s:%s, home %s", account.Uid, account.Gid, account.HomeDir))
}

func timeZone() {
	eastern, err := time.LoadLocation("US/Eastern")
	if err != nil {
		report(false, "US/Eastern at the epoch", err)
		return
	}
	epoch := time.Unix(0, 0).In(eastern).Format("2006-01-02 15:04:05 -0700")
	report(epoch == "1969-12-31 19:00:00 -0500", "US/Eastern at the epoch", epoch)
}

// The same certificates that every TLS connection of this program trusts.
func certificates() {
	pool, err := x509.SystemCertPool()
	count := 0
	if err == nil {
		count = len(pool.Subjects())
	}
	report(count > 100, "root certificates", either(count, err))
}

func names() {
	// Not among the names that Go itself knows.
	book := mime.TypeByExtension(".epub")
	report(book == "application/epub+zip", "media type of .epub", book)
	port, err := net.LookupPort("tcp", "postgresql")
	report(port == 5432, "port of postgresql", either(port, err))
}

func temporary() {
	status, err := os.Stat("/tmp")
	if err != nil {
		report(false, "mode of /tmp", err)
		return
	}
	report(status.Mode() == os.ModeDir|os.ModeSticky|0o777, "mode of /tmp", status.Mode())
}

func main() {
	fmt.Println("hello from Go")
	accounts()
	timeZone()
	certificates()
	names()
	temporary()
	if failures > 0 {
		os.Exit(1)
	}
}
