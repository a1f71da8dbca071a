//! The README: short, and what it tells to run is what is run.

use crate::read;

#[test]
fn the_readme_has_at_most_8_kib() {
    let length = read("README.md").len();
    assert!(length <= 8192, "README.md has {length} bytes");
}

#[test]
fn the_readme_has_the_test_command_that_ci_runs() {
    let readme = read("README.md");
    let commands = readme.lines().filter(|line| line.starts_with("cargo test "));
    assert_eq!(commands.count(), 1);
    assert!(
        read(".ci/run").contains(r"'s/^\(cargo test\) *#.*/\1/p' README.md"),
        ".ci/run takes the test command from elsewhere"
    );
}

#[test]
fn the_readme_goes_from_sign_up_to_log_out_in_five_lines() {
    let readme = read("README.md");
    let lines: Vec<&str> = readme.lines().filter(|line| line.contains("curl ")).collect();
    assert_eq!(lines.len(), 5);
    for (line, path) in lines
        .iter()
        .zip(["/signup", "/signin", "/welcome", "/refresh", "/logout"])
    {
        assert!(line.contains(&format!("localhost:8000{path}")), "{line}");
    }
}
