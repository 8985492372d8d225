from mdlib.cli import main

main()
