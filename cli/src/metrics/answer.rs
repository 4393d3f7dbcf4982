//! What is answered to a request: `/metrics`, a page that links to it at `/`, and
//! nothing else.

use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response, StatusCode};

/// The answer to a request; `render` is asked for the metrics if they are wanted.
/// The server leaves the body out where the method is `HEAD`.
pub fn answer(method: &Method, path: &str, render: impl FnOnce() -> String) -> Response<String> {
    let is_read = [Method::GET, Method::HEAD].contains(method);
    match path {
        METRICS | "/" if !is_read => {
            let mut refusal = respond(
                StatusCode::METHOD_NOT_ALLOWED,
                TEXT,
                "this page can only be read: use GET\n".to_owned(),
            );
            let headers = refusal.headers_mut();
            headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            refusal
        }
        METRICS => respond(StatusCode::OK, PROMETHEUS, render()),
        "/" => respond(StatusCode::OK, HTML, INDEX.to_owned()),
        _ => respond(
            StatusCode::NOT_FOUND,
            TEXT,
            format!("there is nothing here: the metrics are at {METRICS}\n"),
        ),
    }
}

fn respond(status: StatusCode, kind: &'static str, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

const METRICS: &str = "/metrics";

const INDEX: &str =
    "<!doctype html>\n<title>wharf</title>\n<a href=\"/metrics\">Metrics</a> of this forwarder\n";

const HTML: &str = "text/html; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// Prometheus 3 refuses an answer that does not say its format.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(method: Method, path: &str) -> Response<String> {
        answer(&method, path, || "frames 1\n".to_owned())
    }

    fn kind(response: &Response<String>) -> &HeaderValue {
        &response.headers()[CONTENT_TYPE]
    }

    #[test]
    fn metrics_are_at_their_path_and_named_at_the_root() {
        let metrics = ask(Method::GET, "/metrics");
        let root = ask(Method::GET, "/");

        assert_eq!(metrics.status(), StatusCode::OK);
        assert_eq!(metrics.body(), "frames 1\n");
        assert_eq!(kind(&metrics), PROMETHEUS);
        assert_eq!(root.status(), StatusCode::OK);
        assert!(root.body().contains("href=\"/metrics\""));
        assert_eq!(kind(&root), HTML);
    }

    #[test]
    fn other_paths_are_not_found_by_any_method() {
        for path in ["/health", "/metrics/", "/Metrics", "//metrics", "*", ""] {
            for method in [Method::GET, Method::POST] {
                assert_eq!(ask(method, path).status(), StatusCode::NOT_FOUND, "{path}");
            }
        }
    }

    #[test]
    fn pages_can_only_be_read() {
        for path in ["/metrics", "/"] {
            for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
                let refused = ask(method, path);

                assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
                assert_eq!(refused.headers()[ALLOW], "GET, HEAD");
            }
            assert_eq!(ask(Method::HEAD, path).status(), StatusCode::OK);
        }
    }
}
