//! What a request asks for: forwarded is what was received, and only if it is a path of Ollama's, letter by letter.

use corral_proxy::routes::ROUTES;
use corral_proxy::target::Target;
use http::Request;
use http::request::Parts;

/// `METHOD TARGET`, then headers, a line each.
pub(crate) fn check(data: &[u8]) {
    let Some((head, received)) = head(data) else {
        return;
    };
    let Ok(target) = Target::parse(&head) else { return };
    let forwarded = target.path_and_query().as_str();
    let before_fragment = received.split('#').next().unwrap_or_default();
    assert_eq!(forwarded, before_fragment, "forwarded is what was received");
    let path = forwarded.split('?').next().unwrap_or_default();
    assert!(is_path_of_ollamas(path), "no route: {path}");
    assert!(
        forwarded
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"#\\\"<>^`{|}".contains(&byte)),
        "{forwarded}"
    );
    assert_eq!(target.method(), head.method);
    let route = ROUTES.iter().find(|route| route.pattern == target.route());
    let methods = route.map(|route| route.methods).unwrap_or_default();
    assert!(
        methods.split(", ").any(|method| method == head.method.as_str()),
        "{methods}"
    );
    let hosts = head.headers.get_all("host").iter().count();
    let lengths = head.headers.contains_key("content-length");
    let encodings = head.headers.get_all("transfer-encoding").iter().count();
    assert!(
        hosts == 1 && encodings <= 1 && !(lengths && encodings > 0),
        "{:?}",
        head.headers
    );
}

fn head(data: &[u8]) -> Option<(Parts, String)> {
    let mut lines = data.split(|byte| *byte == b'\n');
    let mut words = lines.next()?.splitn(2, |byte| *byte == b' ');
    let (method, target) = (words.next()?, words.next()?);
    let mut request = Request::builder().method(method).uri(target);
    for line in lines {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let (name, value) = (parts.next()?, parts.next()?.trim_ascii());
        request = request.header(name, value);
    }
    let received = String::from_utf8(target.to_vec()).ok()?;
    Some((request.body(()).ok()?.into_parts().0, received))
}

/// Slow and simple: each pattern segment by segment.
fn is_path_of_ollamas(path: &str) -> bool {
    let segments: Vec<_> = path.split('/').collect();
    ROUTES.iter().any(|route| {
        let pattern: Vec<_> = route.pattern.split('/').collect();
        pattern.len() == segments.len()
            && pattern
                .iter()
                .zip(&segments)
                .all(|(pattern, segment)| pattern == segment || pattern.starts_with(':') && is_name(segment))
    })
}

fn is_name(segment: &str) -> bool {
    !segment.is_empty()
        && !segment.contains("..")
        && segment
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:=".contains(&byte))
}
