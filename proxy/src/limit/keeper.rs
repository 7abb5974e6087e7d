//! Keeps the tokens of the day beyond the end of the process.

use std::sync::{Mutex, PoisonError};

use super::saved::{Saved, SavedFile};
use super::{Limiter, Moment};

/// Reads what was saved at the start, and saves it now and then. Blocks.
#[derive(Debug)]
pub struct Keeper {
    file: SavedFile,
    written: Mutex<Written>,
}

#[derive(Debug, Default)]
struct Written {
    /// What stands in the file.
    last: Option<Saved>,
    fails: bool,
}

impl Keeper {
    /// Of this file.
    pub fn new(file: SavedFile) -> Self {
        Self {
            file,
            written: Mutex::default(),
        }
    }

    /// Takes up what was saved. Where nobody can tell what that was, every client has used up the tokens of its day.
    pub fn restore(&self, limiter: &Limiter, now: Moment) {
        match self.file.read() {
            Ok(None) => {}
            Ok(Some(saved)) => limiter.restore(saved, now),
            Err(error) => {
                tracing::error!(%error, "no tokens are left of this day (UTC); without the file, the next start begins it anew");
                limiter.use_up_day(now);
            }
        }
    }

    /// Saves what has changed. A file that can't be read stays as it is while its day lasts.
    pub fn save(&self, limiter: &Limiter, now: Moment) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(next) = limiter.day(now).filter(|next| written.needs(next)) else {
            return;
        };
        match self.file.write(&next) {
            Ok(()) => {
                *written = Written {
                    last: Some(next),
                    fails: false,
                }
            }
            Err(_) if written.fails => {}
            Err(error) => {
                tracing::error!(%error, file = %self.file, "can't save the tokens of the day: the next start begins it anew");
                written.fails = true;
            }
        }
    }
}

impl Written {
    fn needs(&self, next: &Saved) -> bool {
        match &self.last {
            None => !next.tokens.is_empty(),
            Some(last) => last != next,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;
    use std::time::Instant;

    use tempfile::TempDir;

    use super::*;
    use crate::config::ClientLimits;

    const LATE: &str = "2026-11-25T23:00:00Z";

    fn at(time: &str) -> Moment {
        Moment {
            instant: Instant::now(),
            time: time.parse().unwrap(),
        }
    }

    fn keeper(directory: &TempDir) -> Keeper {
        Keeper::new(SavedFile::in_directory(directory.path()))
    }

    fn used(limiter: &Limiter, client: &str, tokens: u64, now: Moment) {
        let limits = ClientLimits {
            tokens_per_day: std::num::NonZeroU64::new(100),
            ..ClientLimits::default()
        };
        let client = limiter.client(&Arc::from(client), now).unwrap();
        client.budget().charge(tokens, &limits, now);
    }

    /// What a new process knows of the day of this moment.
    fn restarted(directory: &TempDir, now: &str) -> Limiter {
        let limiter = Limiter::default();
        keeper(directory).restore(&limiter, at(now));
        limiter
    }

    fn tokens(limiter: &Limiter, now: &str) -> Vec<(String, u64)> {
        limiter.day(at(now)).unwrap().tokens.into_iter().collect()
    }

    #[test]
    fn a_day_goes_on_after_a_restart_and_ends_at_midnight() {
        let directory = tempfile::tempdir().unwrap();
        let limiter = Limiter::default();
        used(&limiter, "a", 7, at(LATE));
        used(&limiter, "b", 0, at(LATE));
        keeper(&directory).save(&limiter, at(LATE));
        let again = restarted(&directory, "2026-11-25T23:30:00Z");
        assert_eq!(tokens(&again, LATE), [("a".to_owned(), 7)]);
        used(&again, "a", 5, at(LATE));
        keeper(&directory).save(&again, at(LATE));
        assert_eq!(tokens(&restarted(&directory, LATE), LATE), [("a".to_owned(), 12)]);
        let next_day = "2026-11-26T00:00:00Z";
        assert_eq!(tokens(&again, next_day), []);
        assert_eq!(tokens(&restarted(&directory, next_day), next_day), []);
    }

    #[test]
    fn only_what_has_changed_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let (limiter, keeper) = (Limiter::default(), keeper(&directory));
        let file = || {
            fs::read_dir(directory.path())
                .unwrap()
                .next()
                .map(|entry| entry.unwrap().path())
        };
        keeper.save(&limiter, at(LATE));
        assert_eq!(file(), None, "nothing was used");
        used(&limiter, "a", 7, at(LATE));
        keeper.save(&limiter, at(LATE));
        fs::remove_file(file().unwrap()).unwrap();
        keeper.save(&limiter, at(LATE));
        assert_eq!(file(), None, "nothing has changed");
        used(&limiter, "a", 1, at(LATE));
        keeper.save(&limiter, at(LATE));
        assert!(file().is_some());
    }

    #[test]
    fn a_damaged_file_leaves_nobody_tokens_until_its_day_is_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tokens-of-the-day.json");
        fs::write(&path, "{").unwrap();
        let limiter = restarted(&directory, LATE);
        let keeper = keeper(&directory);
        let limits = "tokensPerDay: 1000000000000";
        let limits: Arc<ClientLimits> = Arc::new(serde_yaml::from_str(limits).unwrap());
        let is_let_in = |now: &str| {
            let demand = super::super::Demand {
                client: &"a".into(),
                limits: &limits,
                takes_tokens: true,
            };
            limiter.admit(demand, at(now)).is_ok()
        };
        assert!(!is_let_in(LATE));
        keeper.save(&limiter, at(LATE));
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "{",
            "left for whoever looks into it"
        );
        let next_day = "2026-11-26T00:00:00Z";
        assert!(is_let_in(next_day));
        used(&limiter, "b", 3, at(next_day));
        keeper.save(&limiter, at(next_day));
        assert_eq!(
            tokens(&restarted(&directory, next_day), next_day),
            [("b".to_owned(), 3)]
        );
    }

    #[test]
    fn a_directory_that_comes_back_is_used_again() {
        let directory = tempfile::tempdir().unwrap();
        let inner = directory.path().join("inner");
        let (limiter, keeper) = (Limiter::default(), Keeper::new(SavedFile::in_directory(&inner)));
        used(&limiter, "a", 7, at(LATE));
        keeper.save(&limiter, at(LATE));
        fs::create_dir(&inner).unwrap();
        keeper.save(&limiter, at(LATE));
        assert_eq!(fs::read_dir(&inner).unwrap().count(), 1);
        assert!(limiter.day(at(LATE)).is_some());
    }
}
