"""The figures and tables that chapters share."""
