"""What outlives a server that keeps its state: S3's objects, ECS's task definitions and secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from fargate_local import LocalFargate, Settings

DEFINITION = {
    "family": "job",
    "requiresCompatibilities": ["FARGATE"],
    "networkMode": "awsvpc",
    "cpu": "256",
    "memory": "512",
    "containerDefinitions": [{"name": "job", "image": "job"}],
}


def server(folder: Path) -> LocalFargate:
    return LocalFargate(Settings(state_dir=folder, keep=True))


def test_objects_and_task_definitions_are_there_after_a_restart(tmp_path: Path) -> None:
    with server(tmp_path) as aws:
        s3, ecs = aws.client("s3"), aws.client("ecs")
        s3.create_bucket(Bucket="features")
        s3.create_bucket(Bucket="empty")
        s3.put_object(Bucket="features", Key="a/ä b", Body=b"old")
        written = s3.put_object(
            Bucket="features", Key="a/ä b", Body=b"new", ContentType="text/csv", Metadata={"sha256": "12"}
        )
        s3.put_object(Bucket="features", Key="gone", Body=b"new")
        s3.delete_object(Bucket="features", Key="gone")
        moment = s3.head_object(Bucket="features", Key="a/ä b")["LastModified"]
        ecs.register_task_definition(**DEFINITION)
        first = ecs.register_task_definition(**DEFINITION, tags=[{"key": "digest", "value": "1"}])
        ecs.deregister_task_definition(taskDefinition="job:1")
    with server(tmp_path) as aws:
        s3, ecs = aws.client("s3"), aws.client("ecs")
        assert sorted(bucket["Name"] for bucket in s3.list_buckets()["Buckets"]) == ["empty", "features"]
        assert [item["Key"] for item in s3.list_objects_v2(Bucket="features")["Contents"]] == ["a/ä b"]
        found = s3.get_object(Bucket="features", Key="a/ä b")
        assert found["Body"].read() == b"new"
        assert (found["ContentType"], found["Metadata"]) == ("text/csv", {"sha256": "12"})
        assert (found["ETag"], found["LastModified"]) == (written["ETag"], moment)
        latest = ecs.describe_task_definition(taskDefinition="job", include=["TAGS"])
        assert latest["taskDefinition"] == first["taskDefinition"]
        assert latest["tags"] == [{"key": "digest", "value": "1"}]
        assert ecs.describe_task_definition(taskDefinition="job:1")["taskDefinition"]["status"] == "INACTIVE"
        assert ecs.register_task_definition(**DEFINITION)["taskDefinition"]["revision"] == 3
        s3.delete_object(Bucket="features", Key="a/ä b")
    with server(tmp_path) as aws:
        assert "Contents" not in aws.client("s3").list_objects_v2(Bucket="features")
    assert list((tmp_path / "kept" / "objects").iterdir()) == []


def test_a_secret_keeps_its_arn_and_its_newest_text(tmp_path: Path) -> None:
    with server(tmp_path) as aws:
        secrets = aws.client("secretsmanager")
        arn = secrets.create_secret(Name="features/token", SecretString="old")["ARN"]
        secrets.put_secret_value(SecretId=arn, SecretString="new")
        gone = secrets.create_secret(Name="gone", SecretString="x")["ARN"]
        secrets.delete_secret(SecretId=gone, ForceDeleteWithoutRecovery=True)
    assert (tmp_path / "kept" / "secrets.json").stat().st_mode & 0o777 == 0o600
    with server(tmp_path) as aws:
        secrets = aws.client("secretsmanager")
        assert secrets.get_secret_value(SecretId=arn)["SecretString"] == "new"
        assert [each["ARN"] for each in secrets.list_secrets()["SecretList"]] == [arn]


def test_a_server_that_was_killed_has_kept_what_is_older_than_some_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fargate_local.keep.SAVE_EVERY_SECONDS", 0.05)
    index = tmp_path / "kept" / "s3.json"
    with server(tmp_path) as aws:
        aws.client("s3").create_bucket(Bucket="features")
        while not index.exists() or "features" not in index.read_text():
            pass


def test_files_that_were_cut_short_are_not_read(tmp_path: Path) -> None:
    with server(tmp_path) as aws:
        aws.client("s3").create_bucket(Bucket="features")
    (tmp_path / "kept" / "s3.json").write_text('{"features": {')
    with server(tmp_path) as aws:
        assert aws.client("s3").list_buckets()["Buckets"] == []


def test_without_keep_nothing_is_written(tmp_path: Path) -> None:
    with LocalFargate(Settings(state_dir=tmp_path)) as aws:
        aws.client("s3").create_bucket(Bucket="features")
    assert not (tmp_path / "kept").exists()


def test_keep_needs_a_folder() -> None:
    with pytest.raises(ValueError, match="keep is set without state_dir"):
        Settings(keep=True)
