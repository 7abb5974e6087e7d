use super::*;
use crate::config::Log;
use std::io;
use std::sync::Mutex;

/// Remembers what it is told.
#[derive(Debug)]
struct Told(Arc<Mutex<Vec<Usage>>>);

impl Charge for Told {
    fn charge(self: Box<Self>, usage: Usage) {
        self.0.lock().unwrap().push(usage);
    }
}

#[test]
fn a_charge_is_made_once_however_a_request_ends() {
    let line = br#"{"model":"m","done":true,"prompt_eval_count":3,"eval_count":2}"#;
    let answer = Response::builder()
        .header("content-type", "application/json")
        .body(())
        .unwrap();
    let took = Usage {
        input: 3,
        output: 2,
        estimated: false,
    };
    let begun = Usage {
        estimated: true,
        ..Usage::default()
    };
    type End = fn(&mut Record);
    let cases: [(&str, End, &[u8], Usage); 4] = [
        ("complete", |record| record.end(Outcome::Complete), line, took),
        ("left", |_| {}, line, took),
        ("left at once", |_| {}, b"", begun),
        ("cut", |record| record.end(Outcome::Cut), &line[..30], begun),
    ];
    let metrics = Arc::new(Metrics::default());
    let log = AccessLog::start(io::sink(), &Log::default(), metrics.log_dropped.clone()).unwrap();
    let accounting = Arc::new(Accounting {
        log,
        metrics,
        request_ids: RequestIds::default(),
    });
    for (name, end, piece, expected) in cases {
        let charged = Arc::new(Mutex::new(Vec::new()));
        let mut record = accounting.begin(&Method::POST, [127, 0, 0, 1].into());
        record.entry.route = Some("/api/chat");
        record.entry.class = Some(RouteClass::Inference);
        record.charge(Box::new(Told(Arc::clone(&charged))));
        record.note_answer(&answer);
        record.note_answered(piece);
        end(&mut record);
        assert!(charged.lock().unwrap().is_empty(), "{name}");
        drop(record);
        assert_eq!(*charged.lock().unwrap(), [expected], "{name}");
    }
}
