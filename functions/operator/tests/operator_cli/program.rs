//! The program `erp` itself.

use std::process::Command;

#[test]
fn an_unreachable_endpoint_is_reported_with_its_address() {
    // Reserved, never a server.
    let endpoint = "http://127.0.0.1:1";
    for command in ["dlq list", "reconcile"] {
        let mut erp = Command::new(env!("CARGO_BIN_EXE_erp"));
        erp.args(["--endpoint-url", endpoint]).args(command.split(' ')).env_remove("AWS_PROFILE");
        let output = erp.output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{command}: {error}");
        assert_eq!(error.lines().count(), 1, "{command}: {error}");
        assert!(error.contains(endpoint) && error.contains("refused"), "{command}: {error}");
    }
}
