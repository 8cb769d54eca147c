//! Shows what `glibc-dynamic` gives to a Rust program linked against glibc. A line for each
//! thing; the exit status is 1 when one of them is not as promised.

use std::fs;
use std::io;
use std::net::ToSocketAddrs;
use std::os::unix::fs::PermissionsExt;
use std::process::ExitCode;

type Finding = io::Result<(bool, String)>;

fn accounts() -> Finding {
    let passwd = fs::read_to_string("/etc/passwd")?;
    let line = passwd.lines().find(|line| line.starts_with("nonroot:")).unwrap_or("no such user");
    Ok((line.contains(":65532:65532:"), line.to_owned()))
}

fn certificates() -> Finding {
    let path = std::env::var("SSL_CERT_FILE").map_err(io::Error::other)?;
    let count = fs::read_to_string(path)?.matches("-----BEGIN CERTIFICATE-----").count();
    Ok((count > 100, count.to_string()))
}

/// The C library's resolver: /etc/nsswitch.conf, then /etc/hosts.
fn resolver() -> Finding {
    let addresses: Vec<_> = ("localhost", 443).to_socket_addrs()?.collect();
    Ok((addresses.iter().any(|address| address.ip().is_loopback()), format!("{addresses:?}")))
}

fn temporary() -> Finding {
    let status = fs::metadata("/tmp")?;
    let mode = status.permissions().mode() & 0o7777;
    Ok((status.is_dir() && mode == 0o1777, format!("{mode:04o}")))
}

fn main() -> ExitCode {
    println!("hello from Rust");
    let findings = [
        ("user nonroot", accounts()),
        ("root certificates", certificates()),
        ("address of localhost", resolver()),
        ("mode of /tmp", temporary()),
    ];
    let mut code = ExitCode::SUCCESS;
    for (what, finding) in findings {
        let (good, value) = finding.unwrap_or_else(|error| (false, error.to_string()));
        println!("{:<6} {what}: {value}", if good { "ok" } else { "FAILED" });
        if !good {
            code = ExitCode::FAILURE;
        }
    }
    code
}
