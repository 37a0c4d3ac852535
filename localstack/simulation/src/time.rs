//! Clock, ids and randomness drawn from the seed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth::randomness::{Randomness, RandomnessError};
use erp_domain::{Clock, Ids, Timestamp};
use fastrand::Rng;
use tokio::time::Instant;
use uuid::Uuid;

/// The time at the start of a simulation, in milliseconds since the Unix epoch.
pub const BEGINNING: i64 = 1_800_000_000_000;

/// Follows tokio's paused clock, which advances only when no task can run.
#[derive(Debug, Clone, Copy)]
pub struct VirtualClock(Instant);

impl VirtualClock {
    /// Creates a clock that starts now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Returns the milliseconds since the start.
    pub fn elapsed(&self) -> i64 {
        i64::try_from(self.0.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(BEGINNING + self.elapsed())
    }
}

impl dynoxide::storage_backend::Clock for VirtualClock {
    fn now_unix_secs(&self) -> u64 {
        self.now().as_seconds().unsigned_abs()
    }

    fn now_unix_secs_f64(&self) -> f64 {
        Duration::from_millis(self.now().as_millis().unsigned_abs()).as_secs_f64()
    }
}

/// UUIDs of version 7 of one process: they sort by creation, except against those of another process in the
/// same millisecond.
#[derive(Debug)]
pub struct SeededIds {
    clock: VirtualClock,
    state: Mutex<(Rng, u64, u16)>,
}

impl SeededIds {
    /// Creates a source of ids.
    pub fn new(clock: VirtualClock, random: Rng) -> Arc<Self> {
        Arc::new(Self { clock, state: Mutex::new((random, 0, 0)) })
    }
}

impl Ids for SeededIds {
    fn next(&self) -> Uuid {
        let now = self.clock.now().as_millis().unsigned_abs();
        let mut state = self.state.lock().unwrap();
        let (random, last, count) = &mut *state;
        if now > *last {
            (*last, *count) = (now, random.u16(0..0x800));
        } else {
            *count += 1;
        }
        let high = u128::from(*last) << 80 | 7 << 76 | u128::from(*count & 0xfff) << 64;
        Uuid::from_u128(high | 2 << 62 | u128::from(random.u64(..) >> 2))
    }
}

/// Salts and tokens drawn from the seed.
#[derive(Debug)]
pub struct SeededRandomness(Mutex<Rng>);

impl SeededRandomness {
    /// Creates a source of random bytes.
    pub fn new(random: Rng) -> Arc<Self> {
        Arc::new(Self(Mutex::new(random)))
    }
}

impl Randomness for SeededRandomness {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomnessError> {
        self.0.lock().unwrap().fill(buffer);
        Ok(())
    }
}

/// Returns a generator for one purpose of a seed.
pub fn random(seed: u64, purpose: &str) -> Rng {
    // FNV-1a: stable across versions of Rust.
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let purpose = purpose.bytes().fold(0xcbf2_9ce4_8422_2325, mix);
    Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ purpose)
}
