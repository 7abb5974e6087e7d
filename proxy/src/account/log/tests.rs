use super::*;
use std::sync::mpsc;

use jiff::Timestamp;

/// Takes nothing until it is told to.
struct Stuck(mpsc::Receiver<()>, mpsc::Sender<usize>);

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.recv();
        let _ = self.1.send(bytes.iter().filter(|&&byte| byte == b'\n').count());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_stuck_sink_stops_nobody_and_what_is_lost_is_counted() {
    let (release, held) = mpsc::channel();
    let (written, lines) = mpsc::channel();
    let dropped = Counter::default();
    let log = AccessLog::start(Stuck(held, written), &Log::default(), dropped.clone()).unwrap();
    const SHORTEST_LINE: usize = 100;
    // What waits, and as much on its way into the sink.
    let total = 3 * MOST_WAITING / SHORTEST_LINE;
    let entry = Entry::begin(Timestamp::now(), "GET", [127, 0, 0, 1].into());
    (0..total).for_each(|_| log.write(&entry));
    let least = total as u64 / 4;
    assert!(dropped.get() >= least, "dropped {}", dropped.get());
    drop(release);
    log.close();
    // On a busy machine the last lines come later than the end waits for them.
    let count: usize = lines.iter().sum();
    assert_eq!(
        count as u64 + dropped.get(),
        total as u64,
        "each line is written or counted"
    );
}
