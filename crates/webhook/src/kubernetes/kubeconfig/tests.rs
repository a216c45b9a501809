use super::super::tests::Directory;
use super::*;

/// Reads a kubeconfig with this cluster and user, in the words of whoever looks at it.
async fn said(directory: &Directory, cluster: &Value, user: &Value) -> Result<Value, String> {
    let path = directory.kubeconfig(cluster, user);
    read(&path, None).await.map(describe).map_err(|error| format!("{error:#}"))
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

fn describe(access: Access) -> Value {
    let trust = match access.trust {
        Trust::System => "the system's".to_owned(),
        Trust::Pem(pem) => text(pem),
        Trust::File(path) => format!("{}, again and again", path.file_name().unwrap().display()),
        Trust::Anybody => "anybody's".to_owned(),
    };
    let authorization = access.authorization.map(|authorization| match authorization {
        Authorization::Fixed(value) => value.to_str().unwrap().to_owned(),
        Authorization::File(_) => "file".to_owned(),
        Authorization::Plugin(_) => "plugin".to_owned(),
    });
    let headers: Vec<String> =
        access.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    json!({
        "url": access.url.to_string(), "trust": trust, "server_name": access.server_name,
        "identity": access.identity.map(text), "authorization": authorization, "headers": headers,
    })
}

#[tokio::test]
async fn says_what_its_context_says() {
    let directory = Directory::new("kubeconfig-says");
    directory.write("token", "of-a-file");
    let plain = |changes: Value| {
        let mut expected = json!({
            "url": "https://a:1/", "trust": "the system's", "server_name": null, "identity": null,
            "authorization": null, "headers": [],
        });
        for (key, value) in changes.as_object().unwrap() {
            expected[key] = value.clone();
        }
        Ok(expected)
    };
    let server = "https://a:1/";
    let exec = |status: &str| {
        let version = "client.authentication.k8s.io/v1";
        let script = format!("echo '{{\"apiVersion\": \"{version}\", \"status\": {status}}}'");
        json!({"exec": {"apiVersion": version, "command": "sh", "args": ["-c", script]}})
    };
    for (cluster, user, expected) in [
        (json!({"server": server}), json!({}), plain(json!({}))),
        (json!({"server": server}), json!({"token": null, "exec": null}), plain(json!({}))),
        (
            json!({"server": server, "certificate-authority": "ca.crt", "tls-server-name": "b"}),
            json!({"tokenFile": "token"}),
            plain(json!({"trust": "ca.crt, again and again", "server_name": "b", "authorization": "file"})),
        ),
        (
            json!({"server": server, "certificate-authority-data": "Q0Et\nZGF0YQ==\n", "certificate-authority": "ca.crt"}),
            json!({"client-certificate-data": "Qw==", "client-key-data": "Sw=="}),
            plain(json!({"trust": "CA-data", "identity": "K\nC"})),
        ),
        (
            json!({"server": server, "insecure-skip-tls-verify": true}),
            json!({"username": "u", "password": "p"}),
            plain(json!({"trust": "anybody's", "authorization": "Basic dTpw"})),
        ),
        (
            json!({"server": server, "tls-server-name": ""}),
            json!({"token": "t", "exec": {"apiVersion": "v1", "command": "missing"}}),
            plain(json!({"authorization": "Bearer t"})),
        ),
        (
            json!({"server": server}),
            json!({"token": "t", "tokenFile": "missing"}),
            plain(json!({"authorization": "file"})),
        ),
        (
            json!({"server": server}),
            exec(r#"{"token": "t", "clientCertificateData": "C", "clientKeyData": "K"}"#),
            plain(json!({"authorization": "plugin", "identity": "K\nC\n"})),
        ),
        (
            json!({"server": server}),
            json!({"as": "a", "as-groups": ["g", "h"], "as-user-extra": {"Scopes/x": ["y"]}}),
            plain(json!({"headers": [
                "impersonate-user: a", "impersonate-group: g", "impersonate-group: h",
                "impersonate-extra-scopes%2fx: y",
            ]})),
        ),
    ] {
        assert_eq!(said(&directory, &cluster, &user).await, expected, "{cluster} {user}");
    }
}

#[tokio::test]
async fn says_what_is_wrong_but_no_secret() {
    let directory = Directory::new("kubeconfig-wrong");
    let missing = directory.0.join("missing").display().to_string();
    let server = json!({"server": "https://a:1/"});
    let no_file = "No such file or directory (os error 2)";
    for (cluster, user, expected) in [
        (
            json!({}),
            json!({}),
            "its cluster's server is ``: expected a URL such as `https://10.0.0.1:6443`".to_owned(),
        ),
        (
            json!({"server": "a:1"}),
            json!({}),
            "its cluster's server is `a:1`: expected a URL such as `https://10.0.0.1:6443`".to_owned(),
        ),
        (json!({"server": 5}), json!({}), "its cluster `c`: expected a string".to_owned()),
        (
            json!({"server": "https://a:1/", "insecure-skip-tls-verify": true, "certificate-authority": "ca.crt"}),
            json!({}),
            "its cluster has `insecure-skip-tls-verify` and a `certificate-authority`: expected one of them"
                .to_owned(),
        ),
        (server.clone(), json!({"token": 12345}), "its user `u`: expected a string".to_owned()),
        (
            server.clone(),
            json!({"as-groups": ", expected secret"}),
            "its user `u`: expected a sequence".to_owned(),
        ),
        (
            server.clone(),
            json!({"username": "u", "token": "secret"}),
            "its user has a `username` and a token: expected one of them".to_owned(),
        ),
        (
            server.clone(),
            json!({"exec": {"command": "x"}}),
            "its user `u`: missing field `apiVersion`".to_owned(),
        ),
        (
            server.clone(),
            json!({"token": "secret\n"}),
            "`token`: it holds characters that a header cannot hold".to_owned(),
        ),
        (server.clone(), json!({"client-key-data": "!"}), "`client-key`: expected base64".to_owned()),
        (
            server.clone(),
            json!({"client-key-data": "Sw=="}),
            "its user has one of `client-certificate` and `client-key`: expected both".to_owned(),
        ),
        (
            server.clone(),
            json!({"client-key": "missing"}),
            format!("`client-key`: cannot read `{missing}`: {no_file}"),
        ),
        (
            server.clone(),
            json!({"tokenFile": "missing"}),
            format!("the token: cannot read `{missing}`: {no_file}"),
        ),
        (
            server.clone(),
            json!({"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "./missing"}}),
            format!(
                "cannot use what the program `{}` (`exec`) says: it cannot be started: {no_file}",
                directory.0.join("./missing").display()
            ),
        ),
        (
            server.clone(),
            json!({"auth-provider": {"name": "gcp"}}),
            "its user has an `auth-provider`, which Kubernetes no longer knows: expected `exec`".to_owned(),
        ),
    ] {
        assert_eq!(said(&directory, &cluster, &user).await, Err(expected), "{cluster} {user}");
    }
    for (text, expected) in [
        ("", "its `current-context` is ``: expected one of its `contexts`"),
        ("current-context: x", "its `current-context` is `x`: expected one of its `contexts`"),
        (
            "{current-context: x, contexts: [{name: x, context: {cluster: c}}]}",
            "its context is for the cluster `c`: expected one of its `clusters`",
        ),
    ] {
        let path = directory.write("other", text);
        assert_eq!(format!("{:#}", read(&path, None).await.err().unwrap()), expected);
    }
    for (text, position) in [("users: [}", "1:8"), ("users: [{user: {token: 012345678901}}]", "1:24")] {
        let path = directory.write("other", text);
        let error = format!("{:#}", read(&path, None).await.err().unwrap());
        assert_eq!(error, format!("{position}: it is not YAML that can be read"));
    }
}

#[tokio::test]
async fn another_url_has_another_name() {
    let directory = Directory::new("kubeconfig-url");
    directory.write("ca.crt", "CA");
    let cluster = json!({"server": "https://a:1", "tls-server-name": "a", "certificate-authority": "ca.crt", "extensions": [
        {"name": "other", "extension": 1}, {"name": EXEC_EXTENSION, "extension": {"for": ["the", "program"]}},
    ]});
    let say = "echo \"$KUBERNETES_EXEC_INFO\" > told; \
               echo '{\"apiVersion\": \"client.authentication.k8s.io/v1\", \"status\": {\"token\": \"t\"}}'";
    let script = format!("cd '{}' && {say}", directory.0.display());
    let user = json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", script],
        "provideClusterInfo": true,
    }});
    let path = directory.kubeconfig(&cluster, &user);
    for (url, expected_url, expected_name) in
        [(None, "https://a:1/", "a"), (Some("https://b:2"), "https://b:2/", "")]
    {
        let access = read(&path, url.map(|url| url.parse().unwrap())).await.unwrap();
        assert_eq!(
            (access.url, access.server_name.unwrap_or_default()),
            (expected_url.parse().unwrap(), expected_name.to_owned())
        );
        let told: Value = serde_json::from_slice(&fs::read(directory.0.join("told")).unwrap()).unwrap();
        assert_eq!(
            told,
            json!({"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1", "spec": {
                "interactive": false,
                "cluster": {
                    "server": expected_url, "insecure-skip-tls-verify": false,
                    "certificate-authority-data": "Q0E=", "tls-server-name": expected_name,
                    "config": {"for": ["the", "program"]},
                },
            }})
        );
    }
}
