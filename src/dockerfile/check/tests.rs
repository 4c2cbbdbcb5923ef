//! Each check: a file that it warns of, and what it says.

use super::*;
use crate::dockerfile::parse;
use std::collections::BTreeMap;

fn warnings(text: &str, given: &[(&str, &str)], ignore: Option<&str>, target: Option<&str>) -> Vec<String> {
    let dockerfile = parse(text.as_bytes(), "Dockerfile").unwrap();
    let platform = Platform::parse("linux/amd64").unwrap();
    let given: BTreeMap<String, String> = given.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
    let ignore = ignore.map(|text| Patterns::parse(text).unwrap());
    let asked = Asked {
        globals: Globals::new(&platform, &platform, target, given),
        platform,
        target: target.map(|name| dockerfile.stage_meant(name).unwrap()),
        ignore: ignore.as_ref(),
        base: &|_, name| match name {
            "unknown" => None,
            "arm" => Some(Base { platform: Platform::parse("linux/arm64").ok(), ..Base::default() }),
            "shell" => Some(Base { has_shell: true, ..Base::default() }),
            _ => Some(Base { environment: vec!["FROM_BASE=1".into()], ..Base::default() }),
        },
        options: dockerfile.directives.check.clone().unwrap_or_default(),
    };
    let told = |w: Warning| format!("{}:{} {}: {}", w.span.line, w.span.column, w.rule.name, w.message);
    check(&dockerfile, &asked).into_iter().map(told).collect()
}

/// Files, and the one warning that each gets, or none.
#[test]
fn one_warning_each() {
    let name = |text: &str| -> Vec<String> {
        warnings(text, &[], None, None).iter().map(|w| w.split(": ").next().unwrap().to_owned()).collect()
    };
    for (text, expected) in [
        ("FROM alpine AS Base", "1:16 StageNameCasing"),
        ("FROM alpine as base", "1:13 FromAsCasing"),
        ("from alpine AS base", "1:13 FromAsCasing"),
        ("from alpine as base", ""),
        ("FROM alpine\nRUN a \\\n\n  b", "4:1 NoEmptyContinuation"),
        ("FROM alpine\nRUN a \\\n# x\n  b", ""),
        ("FROM alpine\nrun a\nRUN b", "2:1 ConsistentInstructionCasing"),
        ("from alpine\nrun a\nRUN b", "3:1 ConsistentInstructionCasing"),
        ("FROM alpine\nRun a", "2:1 ConsistentInstructionCasing"),
        ("FROM alpine AS a\nFROM alpine AS a", "2:16 DuplicateStageName"),
        ("FROM alpine AS context", "1:16 ReservedStageName"),
        ("FROM alpine\nCMD echo", "2:1 JSONArgsRecommended"),
        ("FROM alpine\nENTRYPOINT echo", "2:1 JSONArgsRecommended"),
        ("FROM alpine\nSHELL [\"bash\"]\nCMD echo", ""),
        ("FROM shell\nCMD echo", ""),
        ("FROM alpine\nCMD [\"echo\"]", ""),
        ("FROM alpine\nMAINTAINER me", "2:1 MaintainerDeprecated"),
        ("ARG VERSION=1\nFROM alpine:${VERSOIN:-1}", "2:13 UndefinedArgInFrom"),
        ("ARG VERSION\nFROM alpine:${VERSION:-1}", ""),
        ("FROM --platform=$BUILDPLATFORM alpine", ""),
        ("FROM alpine\nWORKDIR app", "2:1 WorkdirRelativePath"),
        ("FROM alpine\nWORKDIR /app\nWORKDIR x", ""),
        ("FROM alpine\nWORKDIR a\nWORKDIR b", "2:1 WorkdirRelativePath"),
        ("FROM alpine\nCOPY $x /", "2:6 UndefinedVar"),
        ("FROM alpine\nARG x\nCOPY $x /", ""),
        ("FROM alpine\nCOPY $FROM_BASE $PATH /", ""),
        ("FROM unknown\nCOPY $x /", ""),
        ("FROM scratch\nCOPY $x /", "2:6 UndefinedVar"),
        ("FROM alpine\nRUN echo $x", ""),
        ("FROM alpine\nCMD [\"a\"]\nCMD [\"b\"]", "2:1 MultipleInstructionsDisallowed"),
        ("FROM alpine\nHEALTHCHECK NONE\nHEALTHCHECK CMD x", "2:1 MultipleInstructionsDisallowed"),
        ("FROM alpine AS a\nCMD [\"a\"]\nFROM a\nCMD [\"b\"]", ""),
        ("FROM alpine\nENV a b", "2:1 LegacyKeyValueFormat"),
        ("FROM alpine\nLABEL a b", "2:1 LegacyKeyValueFormat"),
        ("FROM arm", "1:1 InvalidBaseImagePlatform"),
        ("FROM --platform=$TARGETPLATFORM alpine", "1:17 RedundantTargetPlatform"),
        ("FROM --platform=$TARGETOS/$TARGETARCH alpine", ""),
        ("FROM alpine\nARG GITHUB_TOKEN", "2:5 SecretsUsedInArgOrEnv"),
        ("ARG api_key=x\nFROM alpine", "1:5 SecretsUsedInArgOrEnv"),
        ("FROM alpine\nENV DB_PASSWORD=x", "2:5 SecretsUsedInArgOrEnv"),
        ("FROM alpine\nENV PUBLIC_KEY=x TOKEN_FILE=y MONKEY=z KEYBOARD=a AUTH_VERSION=1", ""),
        ("ARG V\nFROM alpine:$V", "2:6 InvalidDefaultArgInFrom"),
        ("ARG V=1\nFROM alpine:$V", ""),
        ("FROM --platform=linux/amd64 alpine", "1:17 FromPlatformFlagConstDisallowed"),
        ("FROM --platform=linux/amd64 alpine AS build_amd64", ""),
        ("# check=experimental=all\n# it is\nARG A\nFROM alpine", "3:1 InvalidDefinitionDescription"),
        (
            "# check=experimental=InvalidDefinitionDescription\n# it is\nFROM alpine AS a",
            "3:1 InvalidDefinitionDescription",
        ),
        ("# check=experimental=all\n# A is\nARG A\n# it is\n\nFROM alpine AS a", ""),
        ("\n# it is\nARG A\nFROM alpine", ""),
        ("FROM alpine\nEXPOSE 80/TCP", "2:8 ExposeProtoCasing"),
        ("FROM alpine\nEXPOSE 127.0.0.1:80:80", "2:8 ExposeInvalidFormat"),
        ("FROM alpine\nEXPOSE 8080:80", "2:8 ExposeInvalidFormat"),
        ("# check=skip=JSONArgsRecommended\nFROM alpine\nCMD echo", ""),
        ("# check=skip=all\nfrom alpine AS A\nCMD echo", ""),
    ] {
        let expected: Vec<&str> = if expected.is_empty() { vec![] } else { vec![expected] };
        assert_eq!(name(text), expected, "{text}");
    }
}

#[test]
fn words_of_buildkit() {
    for (text, expected) in [
        ("FROM alpine AS Base", "Stage name 'Base' should be lowercase"),
        ("FROM alpine as base", "'as' and 'FROM' keywords' casing do not match"),
        ("FROM alpine\nrun a", "Command 'run' should match the case of the command majority (uppercase)"),
        ("FROM alpine\nENV FOO=1\nCOPY $FOX /", "Usage of undefined variable '$FOX' (did you mean $FOO?)"),
        ("ARG VERSION=1\nFROM alpine:${VERSOIN:-1}", "FROM argument 'VERSOIN' is not declared (did you mean VERSION?)"),
        ("FROM alpine\nENV a b", "\"ENV key=value\" should be used instead of legacy \"ENV key value\" format"),
        ("FROM alpine\nARG TOKEN", "Do not use ARG or ENV instructions for sensitive data (ARG \"TOKEN\")"),
        (
            "FROM arm",
            "Base image arm was pulled with platform \"linux/arm64\", expected \"linux/amd64\" for current build",
        ),
    ] {
        let told = warnings(text, &[], None, None);
        assert!(told.len() == 1 && told[0].ends_with(&format!(": {expected}")), "{told:?}");
    }
}

#[test]
fn what_is_ignored_and_what_is_given() {
    let text = "FROM alpine\nCOPY a /\nCOPY --from=x a /\nADD ./a/b https://x/a /";
    assert_eq!(
        warnings(text, &[], Some("a"), None),
        [
            "2:6 CopyIgnoredFile: Attempting to Copy file \"a\" that is excluded by .dockerignore",
            "4:5 CopyIgnoredFile: Attempting to Add file \"a/b\" that is excluded by .dockerignore",
        ]
    );
    assert_eq!(warnings(text, &[], Some("a\n!a/b"), None), [""; 0]);
    // A given value makes the base valid, its default still is not.
    let told = warnings("ARG V\nFROM alpine:$V", &[("V", "1")], None, None);
    assert_eq!(told.len(), 1);
}

#[test]
fn only_what_the_target_needs() {
    let text = "FROM alpine AS a\nCMD x\nFROM alpine AS b\nCMD y\nFROM alpine AS c\nCOPY --from=a x /\nCMD [\"z\"]";
    let lines = |target| {
        let told = warnings(text, &[], None, target);
        told.iter().map(|w| w.split(':').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(lines(None), ["2", "4"]);
    assert_eq!(lines(Some("c")), ["2"]);
    assert_eq!(lines(Some("b")), ["4"]);
}

#[test]
fn there_are_22() {
    assert_eq!(RULES.len(), 22);
    assert!(RULES.iter().all(|rule| !rule.description.is_empty() && rule.url.ends_with('/')));
}
