//! Rotates the signing keys: reads the secret from standard input, writes the next one to standard output.
//!
//! ```text
//! cargo run -q -p erp-auth --example keys -- introduce | promote | retire
//! ```
//!
//! See docs/runbook.md. It rejects a step out of order, and parses its output as the functions will.

use std::error::Error;
use std::io::{Read as _, Write as _};

use erp_auth::rotation::{self, Step};
use uuid::Uuid;

fn main() -> Result<(), Box<dyn Error>> {
    let step = match std::env::args().nth(1).as_deref() {
        Some("introduce") => Step::Introduce,
        Some("promote") => Step::Promote,
        Some("retire") => Step::Retire,
        Some(_) | None => return Err("which step: introduce, promote or retire?".into()),
    };
    let mut secret = String::new();
    std::io::stdin().read_to_string(&mut secret)?;
    let (kid, key) = (key_id(), key());
    let next = rotation::after(step, secret.trim(), (&kid, &key))?;
    std::io::stdout().write_all(next.as_bytes())?;
    Ok(())
}

/// Returns a key id that sorts by creation time.
fn key_id() -> String {
    format!("k{}", &Uuid::now_v7().simple().to_string()[..12])
}

/// Returns a key of 244 random bits from the operating system, the random bits of two UUIDs.
fn key() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}
