//! Makes `src/domain/common_passwords.txt`: reads passwords from standard input, one a line, the most common first, and
//! writes the digests of the first 10,000 that have at least 8 characters.
//!
//! The list is `PASSWORDS` of zxcvbn 3.1.1 (MIT), which is sorted by frequency. The package itself would add more than
//! 1 MB to the function, so only digests of its list are stored:
//!
//! ```text
//! curl -sL https://static.crates.io/crates/zxcvbn/zxcvbn-3.1.1.crate | tar xzO zxcvbn-3.1.1/src/frequency_lists.rs \
//!   | grep -m1 '^const PASSWORDS' | cut -d'"' -f2 | tr , '\n' \
//!   | cargo run -q -p auth --example common_passwords > digests && mv digests functions/auth/src/domain/common_passwords.txt
//! ```

use std::collections::BTreeSet;
use std::io::{self, BufRead as _, Write as _};

use auth::domain::{PASSWORD_CHARACTERS, common_passwords};

/// Passwords of the list that count.
const MOST_COMMON: usize = 10_000;

fn main() -> io::Result<()> {
    let mut digests = BTreeSet::new();
    for line in io::stdin().lock().lines().take(MOST_COMMON) {
        let password = line?;
        if PASSWORD_CHARACTERS.contains(&password.chars().count()) {
            digests.insert(common_passwords::digest(&password));
        }
    }
    let mut output = io::stdout().lock();
    digests.iter().try_for_each(|digest| writeln!(output, "{digest}"))
}
