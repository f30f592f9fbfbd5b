"""PostgreSQL: migrations, and one module of statements per aggregate. Nothing else knows SQL."""
