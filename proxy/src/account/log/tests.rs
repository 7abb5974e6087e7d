use super::*;
use crate::account::Outcome;
use http::{HeaderValue, StatusCode};
use std::sync::mpsc;

fn entry() -> Entry {
    Entry {
        time: "2026-01-02T03:04:05.678Z".parse().unwrap(),
        client: Some("alice\n\"x".into()),
        means: Some(Means::Basic),
        address: "192.0.2.1".parse().unwrap(),
        method: "POST",
        route: Some("/api/chat"),
        class: Some(RouteClass::Inference),
        status: Some(StatusCode::OK),
        outcome: Outcome::Complete,
        received: 12,
        sent: 345,
        first_byte: Some(Duration::from_micros(1500)),
        duration: Duration::from_millis(2500),
        model: None,
        usage: None,
        request_id: None,
        trace_id: None,
    }
}

type Format = fn(&Entry, &mut String);

#[test]
fn an_entry_is_one_line() {
    let unknown = Entry {
        client: None,
        means: None,
        route: None,
        class: None,
        status: None,
        outcome: Outcome::Refused("credential"),
        first_byte: None,
        ..entry()
    };
    let counted = Entry {
        model: Some("gemma3:270m".into()),
        usage: Some(Usage {
            input: 10,
            output: 20,
            estimated: true,
        }),
        request_id: Some(HeaderValue::from_static("one")),
        trace_id: Some("4bf9".into()),
        ..entry()
    };
    let cases: &[(&str, Format, Entry, &str)] = &[
        (
            "JSON",
            json_line,
            entry(),
            r#"{"time":"2026-01-02T03:04:05.678Z","client":"alice\n\"x","means":"basic","address":"192.0.2.1","method":"POST","route":"/api/chat","class":"Inference","status":200,"outcome":"complete","bytesReceived":12,"bytesSent":345,"firstByteSeconds":0.0015,"durationSeconds":2.5}"#,
        ),
        (
            "text",
            text_line,
            entry(),
            r#"2026-01-02T03:04:05.678Z 200 POST /api/chat client="alice\n\"x" means=basic address=192.0.2.1 class=Inference outcome=complete received=12 sent=345 first_byte=0.0015s duration=2.5s"#,
        ),
        (
            "tokens in JSON",
            json_line,
            counted.clone(),
            r#"{"time":"2026-01-02T03:04:05.678Z","client":"alice\n\"x","means":"basic","address":"192.0.2.1","method":"POST","route":"/api/chat","class":"Inference","status":200,"outcome":"complete","bytesReceived":12,"bytesSent":345,"firstByteSeconds":0.0015,"durationSeconds":2.5,"model":"gemma3:270m","inputTokens":10,"outputTokens":20,"tokensEstimated":true,"requestId":"one","traceId":"4bf9"}"#,
        ),
        (
            "tokens in text",
            text_line,
            counted,
            r#"2026-01-02T03:04:05.678Z 200 POST /api/chat client="alice\n\"x" means=basic address=192.0.2.1 class=Inference outcome=complete received=12 sent=345 first_byte=0.0015s duration=2.5s model=gemma3:270m input_tokens=10 output_tokens=~20 request_id=one trace_id=4bf9"#,
        ),
        (
            "an unknown client in text",
            text_line,
            unknown,
            "2026-01-02T03:04:05.678Z - POST - client=- means=- address=192.0.2.1 class=- outcome=refused:credential received=12 sent=345 first_byte=- duration=2.5s",
        ),
    ];
    for (name, format, entry, expected) in cases {
        let mut lines = String::new();
        format(entry, &mut lines);
        assert_eq!(lines, *expected, "{name}");
    }
}

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
    let total = 3 * MOST_WAITING;
    for _ in 0..total {
        log.write(entry());
    }
    assert!(dropped.get() >= MOST_WAITING as u64, "dropped {}", dropped.get());
    drop(release);
    log.close();
    let count: usize = lines.try_iter().sum();
    assert_eq!(
        count as u64 + dropped.get(),
        total as u64,
        "each line is written or counted"
    );
}
