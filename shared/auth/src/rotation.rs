//! Key rotation in three steps, each from one secret to the next.
//!
//! ```text
//!               signs  verifies
//! introduce     old    old, new    every function knows the new key before one signs with it
//! promote       new    new, old    tokens of the old key stay valid until they expire
//! retire        new    new         once the last of them has expired
//! ```
//!
//! Functions see a step one after the other, in a canary deployment minutes apart. In every two consecutive steps, each
//! verifies what the other signs, so no valid token is rejected meanwhile.

use serde_json::json;

use crate::Keyring;
use crate::keyring::KeyringError;

/// A step of a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Adds a new key that verifies, besides the one that signs.
    Introduce,
    /// Swaps the keys: the one that only verified signs, the one that signed only verifies.
    Promote,
    /// Removes the key that only verifies.
    Retire,
}

/// The reason why a step is rejected. Never contains a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RotationError {
    /// The secret, or the next one, is not a keyring.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// There already is a second key.
    #[error("there already is a second key, {0}: promote or retire it first")]
    Second(String),
    /// There is only one key.
    #[error("there is no second key: introduce one first")]
    Only,
}

/// Returns the secret after a step; `new` is the id and the key to introduce.
pub fn after(step: Step, secret: &str, new: (&str, &str)) -> Result<String, RotationError> {
    let keyring = Keyring::from_json(secret)?;
    let current = (keyring.current.kid.as_str(), keyring.current.secret.as_str());
    let other = keyring.previous.as_ref().map(|key| (key.kid.as_str(), key.secret.as_str()));
    let (signs, verifies) = match (step, other) {
        (Step::Introduce, None) => (current, new),
        (Step::Introduce, Some((kid, _))) => return Err(RotationError::Second(kid.to_owned())),
        (Step::Promote, Some(other)) => (other, current),
        (Step::Retire, Some(_)) => (current, ("", "")),
        (Step::Promote | Step::Retire, None) => return Err(RotationError::Only),
    };
    let next = json!({
        "kid": signs.0, "key": signs.1, "previous_kid": verifies.0, "previous_key": verifies.1,
    });
    let secret = next.to_string();
    Keyring::from_json(&secret)?;
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use erp_domain::identity::Caller;
    use erp_domain::{Timestamp, time};
    use uuid::Uuid;

    use super::*;
    use crate::Tokens;
    use crate::token::SERVICE_TOKEN_SECONDS;

    const OLD: &str = "an old key that has at least thirty-two bytes";
    const NEW: (&str, &str) = ("k2", "a new key that has at least thirty-two bytes too");

    fn first() -> String {
        // As Secrets Manager generates it from the template.
        json!({"kid": "k1", "key": OLD, "previous_kid": "", "previous_key": ""}).to_string()
    }

    fn tokens(secret: &str) -> Tokens {
        Tokens::new(Keyring::from_json(secret).unwrap(), "erp", "api")
    }

    fn steps() -> [String; 4] {
        let introduced = after(Step::Introduce, &first(), NEW).unwrap();
        let promoted = after(Step::Promote, &introduced, NEW).unwrap();
        let retired = after(Step::Retire, &promoted, NEW).unwrap();
        [first(), introduced, promoted, retired]
    }

    #[test]
    fn functions_that_are_one_step_apart_accept_tokens_of_each_other() {
        let now = time::Clock::now(&time::SystemClock);
        let caller = Caller::Service { name: "reports".into() };
        let last = steps().len() - 1;
        for (index, pair) in steps().windows(2).enumerate() {
            let [before, behind] = [tokens(&pair[0]), tokens(&pair[1])];
            let (old, _) = before.sign(&caller, Uuid::nil(), now).unwrap();
            let (new, _) = behind.sign(&caller, Uuid::nil(), now).unwrap();
            assert!(before.verify(&new, now).is_ok(), "step {index}");
            assert!(behind.verify(&old, now).is_ok(), "step {index} of {last}");
        }
    }

    #[test]
    fn a_token_of_the_old_key_is_valid_until_the_key_is_retired() {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let caller = Caller::Service { name: "reports".into() };
        let [first, introduced, promoted, retired] = steps().map(|secret| tokens(&secret));
        let (old, seconds) = first.sign(&caller, Uuid::nil(), now).unwrap();
        assert_eq!(seconds, SERVICE_TOKEN_SECONDS);
        for step in [&first, &introduced, &promoted] {
            assert!(step.verify(&old, now.plus_seconds(seconds - 1)).is_ok(), "{step:?}");
        }
        assert!(retired.verify(&old, now).is_err());
        let (new, _) = promoted.sign(&caller, Uuid::nil(), now).unwrap();
        assert!(first.verify(&new, now).is_err(), "a function without the new key rejects its tokens");
        assert!(retired.verify(&new, now).is_ok());
    }

    #[test]
    fn a_step_out_of_order_is_rejected_and_shows_no_key() {
        let [first, introduced, promoted, retired] = steps();
        for (step, secret, new) in [
            (Step::Promote, &first, NEW),
            (Step::Retire, &first, NEW),
            (Step::Promote, &retired, NEW),
            (Step::Introduce, &introduced, NEW),
            (Step::Introduce, &promoted, NEW),
            (Step::Introduce, &first, ("k1", NEW.1)),
            (Step::Introduce, &first, ("k2", "short")),
            (Step::Introduce, &"hunter2".to_owned(), NEW),
        ] {
            let error = after(step, secret, new).unwrap_err().to_string();
            for key in [OLD, NEW.1, "hunter2"] {
                assert!(!error.contains(key), "{error}");
            }
        }
        // A key that was introduced and has not signed can be removed again.
        assert_eq!(after(Step::Retire, &introduced, NEW).unwrap(), first);
    }
}
