//! Time, ids and randomness that a seed decides.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth::ports::{NoRandomness, Randomness};
use erp_domain::{Clock, Ids, Timestamp};
use fastrand::Rng;
use tokio::time::Instant;
use uuid::Uuid;

/// What the clock of a simulation shows at its beginning, in milliseconds since the Unix epoch.
pub const BEGINNING: i64 = 1_800_000_000_000;

/// Goes with tokio's clock, which stands still while anybody has something to do.
#[derive(Debug, Clone, Copy)]
pub struct VirtualClock(Instant);

impl VirtualClock {
    /// A clock that begins now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Milliseconds since the simulation began.
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

/// UUIDs of version 7 of one process: later ones sort after earlier ones, but those that another process makes in
/// the same millisecond may come before or after.
#[derive(Debug)]
pub struct SeededIds {
    clock: VirtualClock,
    state: Mutex<(Rng, u64, u16)>,
}

impl SeededIds {
    /// Ids that this generator decides.
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

/// Salts and tokens that a seed decides.
#[derive(Debug)]
pub struct SeededRandomness(Mutex<Rng>);

impl SeededRandomness {
    /// Bytes of this generator.
    pub fn new(random: Rng) -> Arc<Self> {
        Arc::new(Self(Mutex::new(random)))
    }
}

impl Randomness for SeededRandomness {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), NoRandomness> {
        self.0.lock().unwrap().fill(buffer);
        Ok(())
    }
}

/// A generator of its own for one purpose of one seed.
pub fn random(seed: u64, purpose: &str) -> Rng {
    // FNV-1a: all that matters is that it is the same tomorrow.
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let purpose = purpose.bytes().fold(0xcbf2_9ce4_8422_2325, mix);
    Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ purpose)
}
