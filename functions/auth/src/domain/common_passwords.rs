//! The 10,000 most common passwords, of which only those with at least 8 characters matter.
//!
//! `common_passwords.txt` has their digests and not the passwords: sorted lines of 12 hexadecimal digits, the first 48
//! bits of a SHA-256. An uncommon password is mistaken for one of them with a probability of about 10⁻¹¹.
//! `examples/common_passwords.rs` makes the file; its documentation names the source of the list.

use sha2::{Digest, Sha256};

/// Length of a digest, in hexadecimal digits.
const DIGITS: usize = 12;
const DIGESTS: &str = include_str!("common_passwords.txt");

/// Returns whether a password is a common one, in any letter case.
pub fn contains(password: &str) -> bool {
    let digest = digest(password);
    let (lines, _) = DIGESTS.as_bytes().as_chunks::<{ DIGITS + 1 }>();
    lines.binary_search_by(|line| line[..DIGITS].cmp(digest.as_bytes())).is_ok()
}

/// Returns the digest of a password, in lower case.
pub fn digest(password: &str) -> String {
    let hash = Sha256::digest(password.to_lowercase());
    hash.iter().take(DIGITS / 2).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digests_are_sorted_lines_of_one_length() {
        assert!(DIGESTS.lines().all(|line| line.len() == DIGITS));
        assert!(DIGESTS.lines().is_sorted_by(|a, b| a < b));
        let count = DIGESTS.lines().count();
        assert!((3_000..4_000).contains(&count), "{count} of 10,000 have 8 characters");
    }
}
