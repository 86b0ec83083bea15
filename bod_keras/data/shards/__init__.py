"""Videos -> TFRecord shards -> frames."""
