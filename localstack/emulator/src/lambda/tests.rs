//! Functions on fake runtimes, and processes that are not runtimes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use futures_util::future::join_all;
use tokio::sync::{Barrier, Notify};

use super::testing::{Effect, FakeRuntime, function, until};
use super::{Config, Functions, InvokeError};
use crate::deployment::Function;

fn config() -> Config {
    Config { concurrency: 3, grace: Duration::from_secs(5), ..Config::new("logs") }
}

fn echo() -> Function {
    function("Echo", "erp-echo")
}

async fn invoke(functions: &Functions, event: &str) -> (String, bool) {
    let invocation = functions.invoke("Echo", Bytes::from(event.to_owned())).await.unwrap();
    (String::from_utf8(invocation.payload.to_vec()).unwrap(), invocation.function_error.is_some())
}

#[tokio::test]
async fn sequential_requests_share_one_environment() {
    let runtime = FakeRuntime::new(|event| async move { Effect::Respond(event) });
    let functions = runtime.functions(config(), echo());
    for event in ["1", "2", "3"] {
        assert_eq!(invoke(&functions, event).await, (event.to_owned(), false));
        until("it is idle", || functions.processes().iter().all(|process| !process.busy)).await;
    }
    assert_eq!(runtime.started(), 1);
    functions.stop().await;
    assert!(functions.processes().is_empty());
    assert_eq!(functions.invoke("Echo", Bytes::new()).await, Err(InvokeError::Stopping));
}

#[tokio::test]
async fn requests_run_concurrently_up_to_the_limit() {
    let together = Arc::new(Barrier::new(3));
    let running = Arc::new((AtomicU32::new(0), AtomicU32::new(0)));
    let counted = Arc::clone(&running);
    let runtime = FakeRuntime::new(move |event| {
        let (together, running) = (Arc::clone(&together), Arc::clone(&counted));
        async move {
            if event != "init" {
                let now = running.0.fetch_add(1, Ordering::SeqCst) + 1;
                running.1.fetch_max(now, Ordering::SeqCst);
                together.wait().await;
                running.0.fetch_sub(1, Ordering::SeqCst);
            }
            Effect::Respond(event)
        }
    });
    let functions = runtime.functions(config(), echo());
    let results = join_all((0..9).map(|_| invoke(&functions, "1"))).await;
    assert!(results.iter().all(|(_, failed)| !failed));
    assert_eq!(running.1.load(Ordering::SeqCst), 3);
    assert_eq!(runtime.started(), 3);
    functions.stop().await;
}

#[tokio::test]
async fn a_full_queue_and_a_slow_queue_throttle() {
    let runtime = FakeRuntime::new(|event| async move {
        if event != "init" {
            std::future::pending::<()>().await;
        }
        Effect::Respond(event)
    });
    let config =
        Config { queue: 1, queue_wait: Duration::from_millis(50), grace: Duration::ZERO, ..config() };
    let functions = runtime.functions(config, Function { reserved_concurrency: Some(1), ..echo() });
    let first = tokio::spawn({
        let functions = Arc::clone(&functions);
        async move { functions.invoke("Echo", Bytes::new()).await }
    });
    until("the permit is taken", || functions.processes().iter().any(|process| process.busy)).await;
    let mut second = Box::pin(functions.invoke("Echo", Bytes::new()));
    assert!(futures_util::poll!(&mut second).is_pending());
    assert_eq!(
        functions.invoke("Echo", Bytes::new()).await,
        Err(InvokeError::Throttled),
        "the queue is full"
    );
    assert_eq!(second.await, Err(InvokeError::Throttled), "the queue is slow");
    functions.stop().await;
    assert_eq!(first.await.unwrap().unwrap().function_error.as_deref(), Some("Unhandled"));
}

#[tokio::test]
async fn errors_crashes_and_timeouts_are_function_errors_and_the_environment_is_replaced() {
    let runtime = FakeRuntime::new(|event| async move {
        match event.as_str() {
            "fail" => Effect::Fail(r#"{"errorMessage":"no"}"#.to_owned()),
            "die" => Effect::Exit,
            "hang" => std::future::pending().await,
            _ => Effect::Respond(event),
        }
    });
    let functions = runtime.functions(config(), Function { timeout: Duration::from_millis(250), ..echo() });
    assert_eq!(invoke(&functions, "fail").await, (r#"{"errorMessage":"no"}"#.to_owned(), true));
    for (event, expected, started) in [
        ("die", "Runtime exited with error: exit status 1", 2),
        ("hang", "Task timed out after 0.25 seconds", 3),
    ] {
        let (payload, failed) = invoke(&functions, event).await;
        assert!(failed && payload.contains(expected), "{payload}");
        until("it is replaced", || {
            let processes = functions.processes();
            runtime.started() == started && matches!(&*processes, [process] if !process.busy)
        })
        .await;
    }
    functions.stop().await;
}

#[tokio::test]
async fn a_kill_between_two_requests_fails_no_request() {
    let runtime = FakeRuntime::new(|event| async move { Effect::Respond(event) });
    let functions = runtime.functions(config(), echo());
    for _ in 0..5 {
        assert_eq!(invoke(&functions, "1").await, ("1".to_owned(), false));
        until("it is idle", || functions.processes().iter().any(|process| !process.busy)).await;
        functions.processes().iter().for_each(|process| runtime.kill(process.pid));
    }
    functions.stop().await;
}

#[tokio::test]
async fn an_initialization_error_is_reported_as_the_runtime_sent_it() {
    let runtime = FakeRuntime::new(|_| async { Effect::FailInit });
    let functions = runtime.functions(config(), echo());
    assert_eq!(invoke(&functions, "1").await, (r#"{"errorMessage":"no table"}"#.to_owned(), true));
    until("it is gone", || functions.processes().is_empty()).await;
    assert_eq!(runtime.started(), 1, "an environment that never ran a request is not replaced");
    functions.stop().await;
}

#[tokio::test]
async fn idle_environments_are_stopped() {
    let runtime = FakeRuntime::new(|event| async move { Effect::Respond(event) });
    let functions = runtime.functions(Config { idle: Duration::from_millis(40), ..config() }, echo());
    invoke(&functions, "1").await;
    until("it is stopped", || functions.processes().is_empty()).await;
    assert_eq!(invoke(&functions, "2").await, ("2".to_owned(), false));
    assert_eq!(runtime.started(), 2, "a stopped environment is not replaced before the next request");
    functions.stop().await;
}

#[tokio::test]
async fn a_stop_waits_for_a_request_whose_caller_disconnected() {
    let (gate, done) = (Arc::new(Notify::new()), Arc::new(AtomicU32::new(0)));
    let (opened, counted) = (Arc::clone(&gate), Arc::clone(&done));
    let runtime = FakeRuntime::new(move |event| {
        let (opened, counted) = (Arc::clone(&opened), Arc::clone(&counted));
        async move {
            if event != "init" {
                opened.notified().await;
                counted.fetch_add(1, Ordering::SeqCst);
            }
            Effect::Respond(event)
        }
    });
    let functions = runtime.functions(config(), echo());
    let mut call = Box::pin(functions.invoke("Echo", Bytes::new()));
    assert!(futures_util::poll!(&mut call).is_pending());
    drop(call);
    let mut stop = Box::pin(functions.stop());
    assert!(futures_util::poll!(&mut stop).is_pending());
    gate.notify_one();
    stop.await;
    assert_eq!(done.load(Ordering::SeqCst), 1);
    assert!(functions.processes().is_empty());
}

#[tokio::test]
async fn an_unknown_function_name_is_not_found() {
    let functions =
        FakeRuntime::new(|event| async move { Effect::Respond(event) }).functions(config(), echo());
    let expected = "arn:aws:lambda:us-east-1:000000000000:function:unknown".to_owned();
    assert_eq!(functions.invoke("unknown", Bytes::new()).await, Err(InvokeError::NotFound(expected)));
    assert_eq!(functions.arn("Echo"), functions.arn("erp-echo"));
    let large = Bytes::from(vec![b' '; 6 * 1024 * 1024 + 1]);
    assert!(matches!(functions.invoke("Echo", large).await, Err(InvokeError::TooLarge { .. })));
}

#[cfg(unix)]
mod real_processes {
    use std::collections::BTreeMap;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::{Path, PathBuf};

    use super::*;

    fn script(folder: &Path, text: &str) -> PathBuf {
        let path = folder.join("function");
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    async fn start(folder: &Path, text: &str, init: Duration) -> Arc<Functions> {
        let config = Config { init, ..Config::new(folder.join("logs")) };
        let executables = BTreeMap::from([("erp-echo".to_owned(), script(folder, text))]);
        Functions::start(config, &[echo()], &executables).await.unwrap()
    }

    fn log(folder: &Path) -> BTreeSet<String> {
        let text = std::fs::read_to_string(folder.join("logs/erp-echo.log")).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[tokio::test]
    async fn an_exit_is_an_error_and_the_output_is_in_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let functions =
            start(folder.path(), "echo $AWS_LAMBDA_FUNCTION_NAME; echo $HOME >&2; exit 7", Duration::MAX / 4)
                .await;
        let (payload, failed) = invoke(&functions, "{}").await;
        assert!(failed && payload.contains("exit status 7"), "{payload}");
        let expected = BTreeSet::from(["erp-echo".to_owned(), String::new()]);
        until("both outputs are logged", || log(folder.path()) == expected).await;
        functions.stop().await;
    }

    #[tokio::test]
    async fn a_process_that_never_polls_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let functions = start(folder.path(), "echo $$; exec sleep 1000", Duration::from_millis(300)).await;
        let (payload, failed) = invoke(&functions, "{}").await;
        assert!(failed && payload.contains("Init timed out after 0.30 seconds"), "{payload}");
        until("its pid is logged", || !log(folder.path()).is_empty()).await;
        let pid =
            log(folder.path()).first().and_then(|pid| rustix::process::Pid::from_raw(pid.parse().ok()?));
        assert!(rustix::process::test_kill_process(pid.unwrap()).is_err(), "it is gone");
        functions.stop().await;
    }

    #[tokio::test]
    async fn a_missing_binary_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let started = Functions::start(Config::new(folder.path()), &[echo()], &BTreeMap::new()).await;
        let error = started.err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), Some("there is no executable for Echo: build the binary `erp-echo`"));
    }
}

mod invoke_api {
    use axum::body::{Body, to_bytes};
    use axum::http::{Request, StatusCode};
    use serde_json::Value;
    use tower::ServiceExt as _;

    use super::super::router;
    use super::*;
    use crate::iam::Iam;

    #[tokio::test]
    async fn the_api_responds_as_the_sdks_expect() {
        let runtime = FakeRuntime::new(|event| async move {
            match event.as_str() {
                r#""fail""# => Effect::Fail(r#"{"errorMessage":"no"}"#.to_owned()),
                _ => Effect::Respond(event),
            }
        });
        let functions = runtime.functions(config(), echo());
        let (iam, keys) =
            Iam::allowing("lambda:InvokeFunction", "arn:aws:lambda:us-east-1:000000000000:function:erp-echo");
        let signature = format!("AWS4-HMAC-SHA256 Credential={}/d/r/s/aws4_request", keys.access_key_id);
        let api = router(Arc::clone(&functions), Arc::new(iam));
        let arn = "arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Aerp-echo";
        for (name, kind, key, body, status, payload, error) in [
            ("erp-echo", None, true, "[1]", 200, "[1]", None),
            (arn, Some("RequestResponse"), true, "", 200, "{}", None),
            ("erp-echo", None, true, r#""fail""#, 200, r#"{"errorMessage":"no"}"#, None),
            ("erp-echo", Some("Event"), true, "{}", 202, "", None),
            ("erp-echo", Some("DryRun"), true, "", 204, "", None),
            ("erp-echo", Some("DryRun"), false, "", 403, "", Some("AccessDeniedException")),
            ("erp-echo", None, true, "{", 400, "", Some("InvalidRequestContentException")),
            ("erp-echo", Some("Maybe"), true, "{}", 400, "", Some("InvalidParameterValueException")),
            ("unknown", None, true, "{}", 404, "", Some("ResourceNotFoundException")),
        ] {
            let mut request = Request::post(format!("/2015-03-31/functions/{name}/invocations"));
            if let Some(kind) = kind {
                request = request.header("x-amz-invocation-type", kind);
            }
            if key {
                request = request.header("authorization", &signature);
            }
            let response = api.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
            let what = format!("{name} {kind:?} {body}");
            assert_eq!(response.status(), StatusCode::from_u16(status).unwrap(), "{what}");
            assert!(response.headers().contains_key("x-amzn-requestid"), "{what}");
            let header =
                |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
            assert_eq!(header("x-amzn-errortype").as_deref(), error, "{what}");
            assert_eq!(header("x-amz-function-error").is_some(), body.contains("fail"), "{what}");
            let bytes = to_bytes(response.into_body(), 10_000).await.unwrap();
            if error.is_some() {
                assert!(serde_json::from_slice::<Value>(&bytes).unwrap()["Message"].is_string(), "{what}");
            } else {
                assert_eq!(bytes, payload, "{what}");
            }
        }
        functions.stop().await;
    }
}
