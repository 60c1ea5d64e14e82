//! Who can sign in at the demo's provider, and the check of their passwords.
//!
//! Never says which of address and password was wrong, neither in words nor by the time it takes.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::PasswordVerifier as _;
use tokio::sync::Semaphore;

use crate::base::Timestamp;

/// Somebody who can sign in.
#[derive(Debug)]
pub struct Person {
    /// `sub`: never reassigned, says nothing.
    pub sub: &'static str,
    /// `name`.
    pub name: &'static str,
    /// `email`, also what they sign in with.
    pub email: &'static str,
    /// `groups`.
    pub groups: &'static [&'static str],
    /// Told to everybody who starts the demo; the check itself only knows `hash`.
    pub password: &'static str,
    /// Argon2id in the PHC string format: 19 MiB, two passes, one lane.
    hash: &'static str,
}

/// The people of the demo.
pub static PEOPLE: [Person; 2] = [
    Person {
        sub: "person-1815",
        name: "Ada Lovelace",
        email: "ada@example.com",
        groups: &["staff", "engineers"],
        password: "analytical",
        hash: "$argon2id$v=19$m=19456,t=2,p=1$4nhEr2KeEjhjC/bnSBDodw$W72b+NREKQWyasa2MtYi1rPioVuxMT7SN3TgiXJwtmA",
    },
    Person {
        sub: "person-1906",
        name: "Grace Hopper",
        email: "grace@example.com",
        groups: &["staff", "admins"],
        password: "compiler",
        hash: "$argon2id$v=19$m=19456,t=2,p=1$3gZUeeXygcH+ilANmOpBjQ$WaN7Pg1NGjauZr85BBkQ+fHMH8Mtf1QoG5iOxIdTNu4",
    },
];

/// What became of an attempt to sign in.
#[derive(Clone, Copy, Debug)]
pub enum Knock {
    /// The password is theirs.
    Right(&'static Person),
    /// It is not, or there is no such person.
    Wrong,
    /// Too many wrong ones: no password is looked at before this has passed.
    Later(Duration),
}

/// Checks passwords, a few at a time, and slows down guessing.
#[derive(Debug)]
pub struct Doorkeeper {
    /// Wrong passwords since the start of a window: one place for each person, and one for all addresses that are nobody's.
    wrong: Mutex<[(u32, Timestamp); PEOPLE.len() + 1]>,
    /// Each check takes a core and 19 MiB.
    places: Semaphore,
}

impl Default for Doorkeeper {
    fn default() -> Self {
        Self { wrong: Mutex::new([(0, Timestamp::default()); PEOPLE.len() + 1]), places: Semaphore::new(2) }
    }
}

impl Doorkeeper {
    /// Checks a password. Takes the same work for people who exist and people who do not.
    pub async fn knock(&self, email: &str, password: &str, now: Timestamp) -> Knock {
        let email = email.trim();
        let found = PEOPLE.iter().position(|person| person.email.eq_ignore_ascii_case(email));
        let slot = found.unwrap_or(PEOPLE.len());
        // Counted before it is known to be wrong, so that parallel guesses do not all slip in before the first answer.
        if let Err(wait) = self.count(slot, now) {
            return Knock::Later(wait);
        }
        let person = found.and_then(|index| PEOPLE.get(index));
        let hash = person.or(PEOPLE.first()).map_or("", |person| person.hash);
        let password = password.to_owned();
        let Ok(_place) = self.places.acquire().await else { return Knock::Wrong };
        let right =
            tokio::task::spawn_blocking(move || Argon2::default().verify_password(password.as_bytes(), hash).is_ok());
        match (right.await.unwrap_or(false), person) {
            (true, Some(person)) => {
                if let Some(window) = self.wrong.lock().unwrap_or_else(PoisonError::into_inner).get_mut(slot) {
                    window.0 = 0;
                }
                Knock::Right(person)
            }
            _ => Knock::Wrong,
        }
    }

    fn count(&self, slot: usize, now: Timestamp) -> Result<(), Duration> {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((count, since)) = wrong.get_mut(slot) else { return Ok(()) };
        if now >= *since + WINDOW {
            (*count, *since) = (0, now);
        }
        if *count >= MOST_WRONG {
            return Err((*since + WINDOW).since(now));
        }
        *count += 1;
        Ok(())
    }
}

/// Wrong passwords in one window.
const MOST_WRONG: u32 = 5;
const WINDOW: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_printed_passwords_are_right_and_others_are_not() {
        let door = Doorkeeper::default();
        let now = Timestamp::from_unix_seconds(1_000);
        for person in &PEOPLE {
            assert!(person.hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", person.name);
            let knock = door.knock(&person.email.to_uppercase(), person.password, now).await;
            assert!(matches!(knock, Knock::Right(who) if who.sub == person.sub), "{knock:?}");
            assert!(matches!(door.knock(person.email, "wrong", now).await, Knock::Wrong));
        }
        assert!(matches!(door.knock("nobody@example.com", "analytical", now).await, Knock::Wrong));
    }

    #[tokio::test]
    async fn guessing_is_slowed_down_and_one_person_does_not_lock_out_another() {
        let door = Doorkeeper::default();
        let now = Timestamp::from_unix_seconds(1_000);
        for _ in 0..MOST_WRONG {
            assert!(matches!(door.knock("ada@example.com", "guess", now).await, Knock::Wrong));
        }
        let knock = door.knock("ada@example.com", "analytical", now + Duration::from_secs(1)).await;
        assert!(matches!(knock, Knock::Later(wait) if wait == Duration::from_secs(59)), "{knock:?}");
        assert!(matches!(door.knock("grace@example.com", "compiler", now).await, Knock::Right(_)));
        assert!(matches!(door.knock("ada@example.com", "analytical", now + WINDOW).await, Knock::Right(_)));
    }
}
